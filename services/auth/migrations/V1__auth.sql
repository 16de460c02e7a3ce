-- Accounts, sessions, signing keys, pets, collars' pairings, shares, and the audit log. Append-only: expand in a later
-- file, contract in another.

-- Ranges and texts in one exclusion constraint. Trusted: a database's owner may create it.
CREATE EXTENSION IF NOT EXISTS btree_gist;

CREATE TABLE accounts (
    account_id uuid PRIMARY KEY,
    email text NOT NULL,
    -- The address in NFC and lower case: what it is compared by, independent of the database's collation.
    email_key text NOT NULL CONSTRAINT accounts_email_key UNIQUE,
    name text,
    time_zone text NOT NULL,
    -- PHC string: algorithm, parameters, salt and hash.
    password_hash text NOT NULL,
    -- The scopes its tokens get, separated by spaces.
    scope text NOT NULL,
    created_at timestamptz NOT NULL
);

CREATE TABLE sessions (
    session_id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
    scope text NOT NULL,
    created_at timestamptz NOT NULL,
    -- Slides with every refresh, up to ends_at.
    expires_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    ended_at timestamptz,
    end_reason text CHECK (end_reason IN ('LOGGED_OUT', 'TOKEN_REUSED')),
    -- The access.changed that told of the end.
    ended_event uuid,
    CHECK ((ended_at IS NULL) = (ended_event IS NULL) AND (ended_at IS NULL) = (end_reason IS NULL))
);
CREATE INDEX sessions_account ON sessions (account_id);
CREATE INDEX sessions_expires_at ON sessions (expires_at);

-- A session's chain of refresh tokens. Tokens are not kept, only their SHA-256.
CREATE TABLE refresh_tokens (
    token_hash bytea PRIMARY KEY,
    session_id uuid NOT NULL REFERENCES sessions ON DELETE CASCADE,
    generation integer NOT NULL,
    created_at timestamptz NOT NULL,
    used_at timestamptz,
    -- The successor, sealed under a key that only this token yields; for the seconds of grace after its use.
    successor_sealed bytea,
    CONSTRAINT refresh_tokens_generation UNIQUE (session_id, generation)
);
-- A chain has one live end.
CREATE UNIQUE INDEX refresh_tokens_live ON refresh_tokens (session_id) WHERE used_at IS NULL;

CREATE TABLE signing_keys (
    kid text PRIMARY KEY,
    algorithm text NOT NULL CHECK (algorithm IN ('RS256', 'ES256', 'EdDSA')),
    state text NOT NULL CHECK (state IN ('current', 'retired')),
    public_jwk jsonb NOT NULL,
    -- PKCS #8, AES-256-GCM under PETTY_KEY_ENCRYPTION_KEY, bound to the kid.
    private_sealed bytea NOT NULL,
    created_at timestamptz NOT NULL,
    retired_at timestamptz,
    CHECK ((state = 'retired') = (retired_at IS NOT NULL))
);
CREATE UNIQUE INDEX signing_keys_current ON signing_keys (state) WHERE state = 'current';

CREATE TABLE pets (
    pet_id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES accounts,
    name text NOT NULL,
    species text NOT NULL CHECK (species IN ('DOG', 'CAT')),
    breed text,
    sex text CHECK (sex IN ('FEMALE', 'MALE')),
    neutered boolean,
    birth_date date,
    time_zone text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    version integer NOT NULL CHECK (version > 0)
);
CREATE INDEX pets_account ON pets (account_id, created_at, pet_id);

-- What is left of a pet that is gone: whose it was, so that its removal can be sent again, and the event that told.
CREATE TABLE deleted_pets (
    pet_id uuid PRIMARY KEY,
    account_id uuid NOT NULL,
    deleted_at timestamptz NOT NULL,
    deleted_event uuid NOT NULL
);

-- Which pet a collar was on, from when to when.
CREATE TABLE pairings (
    pairing_id uuid PRIMARY KEY,
    collar_id text NOT NULL,
    pet_id uuid NOT NULL REFERENCES pets ON DELETE CASCADE,
    -- The account that paired it.
    account_id uuid NOT NULL REFERENCES accounts,
    start_at timestamptz NOT NULL,
    -- NULL while paired.
    end_at timestamptz,
    -- The `sid` of its device tokens; a new secret has another.
    credential_id uuid NOT NULL CONSTRAINT pairings_credential UNIQUE,
    secret_hash bytea NOT NULL,
    created_at timestamptz NOT NULL,
    ended_event uuid,
    CHECK (end_at > start_at),
    CONSTRAINT pairings_never_overlap EXCLUDE USING gist (collar_id WITH =, tstzrange(start_at, end_at) WITH &&)
);
CREATE INDEX pairings_pet ON pairings (pet_id, start_at, pairing_id);
CREATE INDEX pairings_collar ON pairings (collar_id, start_at);

CREATE TABLE shares (
    share_id uuid PRIMARY KEY,
    pet_id uuid NOT NULL REFERENCES pets ON DELETE CASCADE,
    -- With whom.
    account_id uuid NOT NULL REFERENCES accounts,
    role text NOT NULL CHECK (role IN ('VIEWER', 'CAREGIVER', 'VET')),
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    withdrawn_at timestamptz,
    withdrawn_event uuid
);
-- One a pet and account; an expired one is withdrawn before another is given.
CREATE UNIQUE INDEX shares_live ON shares (pet_id, account_id) WHERE withdrawn_at IS NULL;
CREATE INDEX shares_account ON shares (account_id) WHERE withdrawn_at IS NULL;
CREATE INDEX shares_pet ON shares (pet_id, created_at, share_id);

-- Which service has forgotten which pet.
CREATE TABLE erasures (
    pet_id uuid NOT NULL,
    service text NOT NULL,
    erased_at timestamptz NOT NULL,
    PRIMARY KEY (pet_id, service)
);

-- Who did what, to whom, with what outcome. Written with the change, or the change is not made. Ids only, no personal data.
CREATE TABLE audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    actor_kind text NOT NULL CHECK (actor_kind IN ('ACCOUNT', 'COLLAR', 'SERVICE', 'ANYBODY')),
    actor text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('DONE', 'REFUSED')),
    request_id text NOT NULL,
    detail jsonb NOT NULL
);
CREATE INDEX audit_log_subject ON audit_log (subject, id);
DO $$
BEGIN
    EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON audit_log FROM %I', current_database() || '_runtime');
END
$$;
