-- What auth knows of people is sealed under a key for each account. The service takes the rows over at its next boot:
-- wrapping keys are not known here.

-- Each account's own key, wrapped under a key-encryption key; it goes with the account, and nothing of it opens again.
CREATE TABLE data_keys (
    account_id uuid PRIMARY KEY REFERENCES accounts ON DELETE CASCADE,
    wrapped bytea NOT NULL,
    -- Of the key that it is wrapped under.
    key_id bytea NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX data_keys_key_id ON data_keys (key_id);

-- The service's own keys, wrapped too: `index`, the secret of the blind indexes.
CREATE TABLE vault_keys (
    name text PRIMARY KEY,
    wrapped bytea NOT NULL,
    key_id bytea NOT NULL,
    created_at timestamptz NOT NULL
);

-- email, email_key and name are empty from now on; a later migration drops them.
ALTER TABLE accounts
    ALTER COLUMN email DROP NOT NULL,
    ALTER COLUMN email_key DROP NOT NULL,
    ADD COLUMN email_sealed bytea,
    -- HMAC of the address in NFC and lower case.
    ADD COLUMN email_index bytea CONSTRAINT accounts_email_index UNIQUE,
    ADD COLUMN name_sealed bytea,
    ADD CONSTRAINT accounts_email_once CHECK (
        (email IS NULL) = (email_sealed IS NOT NULL) AND (email IS NULL) = (email_index IS NOT NULL)
    );
CREATE INDEX accounts_plain ON accounts (account_id) WHERE email IS NOT NULL;
