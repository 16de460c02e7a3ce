-- What the behavior service keeps of a pet: the window its episodes are computed from, and the episodes told so far.
-- Append-only: expand in a later file, contract in another.

-- One row a pet, locked while its readings are handled. Holds exact positions (in the state): it leaves with the pet.
CREATE TABLE pet_states (
    pet_id uuid PRIMARY KEY,
    -- All three are NULL only within the transaction that makes the row.
    -- What the priors depend on.
    species text CHECK (species IN ('dog', 'cat')),
    -- The IANA zone the pet's days and nights are in.
    time_zone text,
    -- The encoded window.
    state bytea,
    updated_at timestamptz NOT NULL
);

-- Ids outlive revision: a superseded episode stays, and says what took its place.
CREATE TABLE episodes (
    episode_id uuid PRIMARY KEY,
    pet_id uuid NOT NULL,
    -- The behaviour's slug: 'deep_sleep'.
    behavior text NOT NULL,
    start_at timestamptz NOT NULL,
    end_at timestamptz NOT NULL,
    open boolean NOT NULL,
    confidence double precision NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    -- What it rests on; no coordinates.
    evidence jsonb NOT NULL,
    -- Higher after every change.
    version bigint NOT NULL CHECK (version > 0),
    superseded boolean NOT NULL DEFAULT false,
    replaced_by uuid[] NOT NULL DEFAULT '{}',
    updated_at timestamptz NOT NULL,
    CHECK (start_at < end_at),
    CHECK (superseded OR replaced_by = '{}')
);
-- Pages, newest first.
CREATE INDEX episodes_by_start ON episodes (pet_id, start_at DESC, episode_id DESC) WHERE NOT superseded;
-- What reaches into a span.
CREATE INDEX episodes_by_end ON episodes (pet_id, end_at) WHERE NOT superseded;
