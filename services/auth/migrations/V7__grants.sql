-- Platform roles, and a collar's earlier secrets while they overlap.

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
