-- Mail, the links in it, and what sessions tell of themselves.

ALTER TABLE accounts ADD COLUMN email_verified_at timestamptz;

ALTER TABLE sessions
    -- The program that opened it, coarsely: "Firefox on Linux".
    ADD COLUMN client text,
    DROP CONSTRAINT IF EXISTS sessions_end_reason_check;
-- More reasons come with more ways to end one: the program names them.
ALTER TABLE sessions ADD CONSTRAINT sessions_end_reason_check CHECK (end_reason ~ '^[A-Z][A-Z_]{1,39}$');

-- One-time links. Tokens are not kept, only their SHA-256. What is personal is sealed under a key of the row's own, which is
-- wrapped beside it.
CREATE TABLE one_time_links (
    link_id uuid PRIMARY KEY,
    token_hash bytea NOT NULL UNIQUE,
    -- NOTHING: a link that nobody has, written where there is nothing to send, so that nobody sees the difference.
    purpose text NOT NULL CHECK (purpose IN ('SIGN_UP', 'VERIFY_EMAIL', 'CHANGE_EMAIL', 'RESET', 'NOTHING')),
    -- What there is one live link a purpose of: the account, or the blind index of the address.
    subject bytea NOT NULL,
    account_id uuid REFERENCES accounts ON DELETE CASCADE,
    -- SIGN_UP: the account to be. CHANGE_EMAIL: the new address.
    sealed bytea,
    -- SIGN_UP: the passphrase's PHC string.
    password_hash text,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    UNIQUE (purpose, subject)
);
CREATE INDEX one_time_links_account ON one_time_links (account_id);
CREATE INDEX one_time_links_expires_at ON one_time_links (expires_at);

-- Mail on its way, written with the change that it tells of. Once sent, given up or expired, what it said is gone; the row
-- stays until it expires, so that nobody is flooded.
CREATE TABLE mails (
    mail_id uuid PRIMARY KEY,
    -- The blind index of the address.
    recipient bytea NOT NULL,
    -- Whether anybody can have it sent by naming an address.
    unasked boolean NOT NULL,
    -- Address and letter, under a key of the row's own, which is wrapped beside it. NULL: nothing is to be sent (any more).
    sealed bytea,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0
);
CREATE INDEX mails_due_at ON mails (due_at) WHERE sealed IS NOT NULL;
CREATE INDEX mails_recipient ON mails (recipient, created_at) WHERE unasked;
CREATE INDEX mails_expires_at ON mails (expires_at);
