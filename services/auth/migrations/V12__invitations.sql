-- Shares by invitation, who of the staff looked at a pet, and names of tokens sealed.

-- Sealed under the account's key; `name` is empty from now on.
ALTER TABLE personal_tokens ADD COLUMN name_sealed bytea;

-- A share may wait for whoever has an address, or for whoever first shows the token of a link.
ALTER TABLE shares
    ALTER COLUMN account_id DROP NOT NULL,
    -- The address that it was given to, blind; and as the owner wrote it, sealed under the owner's key.
    ADD COLUMN email_index bytea,
    ADD COLUMN email_sealed bytea,
    -- The SHA-256 of a link's token, and until when that is good.
    ADD COLUMN link_hash bytea CONSTRAINT shares_link UNIQUE,
    ADD COLUMN accept_before timestamptz,
    -- When somebody took it up.
    ADD COLUMN accepted_at timestamptz,
    ADD CHECK ((email_index IS NULL) = (email_sealed IS NULL)),
    ADD CHECK ((link_hash IS NULL) = (accept_before IS NULL)),
    ADD CHECK (account_id IS NOT NULL OR email_index IS NOT NULL OR link_hash IS NOT NULL);
-- An account may have several shares of a pet: by an address, by a link. The strongest counts. An address has one.
DROP INDEX shares_live;
CREATE INDEX shares_live ON shares (pet_id, account_id) WHERE withdrawn_at IS NULL;
CREATE UNIQUE INDEX shares_address ON shares (pet_id, email_index) WHERE withdrawn_at IS NULL;
CREATE INDEX shares_waiting ON shares (email_index) WHERE account_id IS NULL AND withdrawn_at IS NULL;

-- Who of the staff looked at a pet, for its owner to see.
CREATE TABLE staff_accesses (
    access_id uuid PRIMARY KEY,
    pet_id uuid NOT NULL REFERENCES pets ON DELETE CASCADE,
    -- Who looked.
    account_id uuid NOT NULL,
    -- In their words, sealed under the key of the pet's owner.
    reason_sealed bytea NOT NULL,
    -- Which service asked for it.
    service text NOT NULL,
    at timestamptz NOT NULL
);
CREATE INDEX staff_accesses_pet ON staff_accesses (pet_id, at, access_id);
DO $$
BEGIN
    EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON staff_accesses FROM %I', current_database() || '_runtime');
END
$$;
