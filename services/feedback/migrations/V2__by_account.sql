-- An account that is closed is forgotten.
CREATE INDEX feedback_by_account ON feedback (account_id);
