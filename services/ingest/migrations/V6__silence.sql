-- Which collars have stopped: noticed by due times.

-- When the newest reading came, by the database's clock, which is one for all replicas: a collar's own may be off.
ALTER TABLE latest_states ADD COLUMN received_at timestamptz NOT NULL DEFAULT now();

-- What was seen of each collar, and when to look again. Looks change the rows in place.
CREATE TABLE collar_watches (
    look_at timestamptz NOT NULL,
    -- The newest reading at the last look: when it came, when it was measured. NULL: there was none.
    seen_at timestamptz,
    measured_at timestamptz,
    -- When the interval was learned.
    learned_at timestamptz,
    -- Until when patience counts.
    patient_until timestamptz,
    collar_key integer PRIMARY KEY REFERENCES collars (collar_key),
    -- The collar's own interval; NULL while it is not known.
    interval_ms integer,
    -- How late its readings came lately, though it measured all the while.
    patience_ms integer NOT NULL DEFAULT 0,
    silent boolean NOT NULL DEFAULT false
) WITH (fillfactor = 70);
CREATE INDEX collar_watches_look_at ON collar_watches (look_at);
CREATE INDEX collar_watches_silent ON collar_watches (collar_key) WHERE silent;

-- A collar is watched from its first reading on. By a trigger, so that no flush has to think of it: collars are new once.
CREATE FUNCTION ingest_watch_collars() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO collar_watches (collar_key, look_at) SELECT collar_key, now() FROM added;
    RETURN NULL;
END
$$;
CREATE TRIGGER ingest_watch_collars AFTER INSERT ON collars
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION ingest_watch_collars();

-- Those that are there already are not told to have stopped long ago.
INSERT INTO collar_watches (collar_key, look_at, silent) SELECT collar_key, now(), true FROM collars;
