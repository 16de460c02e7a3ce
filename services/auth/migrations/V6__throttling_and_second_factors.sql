-- Attempts that are counted, devices that are remembered, second factors.

-- How many attempts failed, or when the next may be made: a row for each address, device, account or source that attempts
-- came for. Of addresses and sources only a keyed hash is kept.
CREATE TABLE throttles (
    key bytea PRIMARY KEY,
    kind text NOT NULL,
    -- Where it is about an account that is known: such counts are kept for as long as the account is there.
    account_id uuid,
    -- In a row; those under way are counted before they are tried.
    failures integer NOT NULL CHECK (failures >= 0),
    -- In a row: when the next may be made. Per time: when as many as may be made at once may be made again, less one.
    next_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
) WITH (fillfactor = 70);

-- Devices that signed in before (OWASP's device cookies). Tokens are not kept, only their SHA-256.
CREATE TABLE known_devices (
    token_hash bytea PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES accounts ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    -- When it signed in again, last.
    used_at timestamptz,
    expires_at timestamptz NOT NULL
);
CREATE INDEX known_devices_account ON known_devices (account_id);
CREATE INDEX known_devices_expires_at ON known_devices (expires_at);

CREATE TABLE second_factors (
    account_id uuid PRIMARY KEY REFERENCES accounts ON DELETE CASCADE,
    -- The TOTP secret, sealed.
    secret_sealed bytea NOT NULL,
    created_at timestamptz NOT NULL,
    -- NULL until it is confirmed: log-ins do not need it before.
    confirmed_at timestamptz,
    -- The last step whose code was used: none up to it is good any more.
    last_step bigint NOT NULL DEFAULT 0
);

-- 120 random bits each, kept as SHA-256.
CREATE TABLE recovery_codes (
    account_id uuid NOT NULL REFERENCES second_factors ON DELETE CASCADE,
    code_hash bytea NOT NULL,
    used_at timestamptz,
    PRIMARY KEY (account_id, code_hash)
);
