-- Platform roles, a collar's earlier secrets while they overlap, personal access tokens.

-- 'support', 'admin'; on top of what an account is to a pet. The scope `staff` in accounts.scope is read no more: who has a
-- role gets it.
ALTER TABLE accounts ADD COLUMN roles text[] NOT NULL DEFAULT '{}'
    CHECK (roles <@ ARRAY['support', 'admin']);
UPDATE accounts SET roles = '{admin}' WHERE 'staff' = ANY (string_to_array(scope, ' '));
CREATE INDEX accounts_staff ON accounts (account_id) WHERE roles <> '{}';

-- Secrets that were replaced and are still good for a while. A collar's present one is its pairing's own.
CREATE TABLE replaced_secrets (
    -- The `sid` of the device tokens that this secret got.
    credential_id uuid PRIMARY KEY,
    pairing_id uuid NOT NULL REFERENCES pairings ON DELETE CASCADE,
    secret_hash bytea NOT NULL,
    replaced_at timestamptz NOT NULL,
    -- Good until then.
    ends_at timestamptz NOT NULL
);
CREATE INDEX replaced_secrets_pairing ON replaced_secrets (pairing_id);
CREATE INDEX replaced_secrets_ends_at ON replaced_secrets (ends_at);

-- Tokens of integrators. Not kept themselves, only their SHA-256.
CREATE TABLE personal_tokens (
    -- The `sid` of the access tokens that it is exchanged for.
    token_id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
    token_hash bytea NOT NULL CONSTRAINT personal_tokens_hash UNIQUE,
    -- What its owner calls it.
    name text,
    scope text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    -- To the minute.
    last_used_at timestamptz,
    deleted_at timestamptz,
    -- The access.changed that told of it.
    deleted_event uuid,
    CHECK ((deleted_at IS NULL) = (deleted_event IS NULL))
);
CREATE INDEX personal_tokens_account ON personal_tokens (account_id, created_at, token_id);
CREATE INDEX personal_tokens_expires_at ON personal_tokens (expires_at);
