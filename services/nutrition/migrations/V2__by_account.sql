-- An account that is closed is forgotten, with the foods that it removed.
CREATE INDEX foods_of_account ON foods (account_id);
