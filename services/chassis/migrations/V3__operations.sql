-- What operators do with dead letters and with the outbox.

ALTER TABLE event_dead_letters
    -- How often it was redriven in vain, and when last.
    ADD COLUMN redrives integer NOT NULL DEFAULT 0,
    ADD COLUMN redriven_at timestamptz;
CREATE INDEX event_dead_letters_created_at ON event_dead_letters (created_at, event_id, pet_id);
CREATE INDEX event_dead_letters_pet_id ON event_dead_letters (pet_id);

-- Counts what was asked to be sent again, so that whoever holds the shard looks for it.
ALTER TABLE event_relay_shards ADD COLUMN replays bigint NOT NULL DEFAULT 0;

-- Who did what: one row in the transaction of each change. The service itself can neither change nor delete it.
CREATE TABLE event_operations (
    id uuid PRIMARY KEY,
    created_at timestamptz NOT NULL,
    -- The staff account.
    account_id uuid NOT NULL,
    request_id text NOT NULL,
    -- REDRIVE, DROP, REPLAY.
    action text NOT NULL,
    -- What became of it.
    outcome text NOT NULL,
    topic text NOT NULL,
    -- The dead letter; NULL for a replay.
    event_id uuid,
    pet_id uuid,
    -- A replay's beginning, and how many events it sent again; NULL for a dead letter.
    since timestamptz,
    events bigint
);
DO $$
BEGIN
    EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON event_operations FROM %I', current_database() || '_runtime');
END
$$;
