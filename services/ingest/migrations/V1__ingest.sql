-- Readings, the newest of each collar, and who is who. Append-only: expand in a later file, contract in another.

-- Collars by a small key: readings carry 4 bytes instead of up to 64. Never deleted, so that a key may be remembered.
CREATE TABLE collars (
    collar_key integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    collar_id text NOT NULL UNIQUE
);

-- Readings, by UTC day of their own time. Wide columns first, so that nothing is padded; absent signals cost a bit each.
-- Positions are whole millionths of a degree: six decimals, kept exactly. The signals are kept as they were sent, so that
-- a rule sees the value that the client sees.
CREATE TABLE readings (
    measured_at timestamptz NOT NULL,
    pet_id uuid NOT NULL,
    heart_rate double precision,
    respiratory_rate double precision,
    temperature double precision,
    skin_temperature double precision,
    battery_level double precision,
    accuracy_m double precision,
    collar_key integer NOT NULL,
    longitude_e6 integer,
    latitude_e6 integer,
    sequence_id integer,
    activity_level smallint,
    -- The one index: uniqueness and reads of a span both use it.
    CONSTRAINT readings_key UNIQUE (collar_key, measured_at)
) PARTITION BY RANGE (measured_at);

-- Which collars ever measured a pet: a pet's readings are found through them, by the one index.
CREATE TABLE pet_collars (
    pet_id uuid NOT NULL,
    collar_key integer NOT NULL REFERENCES collars (collar_key),
    PRIMARY KEY (pet_id, collar_key)
);

-- Each collar's newest reading by its own time. Rows change in place, so pages keep room for that.
CREATE TABLE latest_states (
    measured_at timestamptz NOT NULL,
    pet_id uuid NOT NULL,
    heart_rate double precision,
    respiratory_rate double precision,
    temperature double precision,
    skin_temperature double precision,
    battery_level double precision,
    accuracy_m double precision,
    collar_key integer PRIMARY KEY,
    longitude_e6 integer,
    latitude_e6 integer,
    sequence_id integer,
    activity_level smallint
) WITH (fillfactor = 50);

-- Makes the readings' day partitions. Runs as the owner, because the runtime role may not define anything. A partition is
-- attached, not created in place: that lets flushes and reads go on.
CREATE FUNCTION ingest_make_partitions(first_day date, last_day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    the_day date;
    the_name text;
BEGIN
    IF last_day - first_day > 800 THEN
        RAISE EXCEPTION 'too many partitions at once';
    END IF;
    PERFORM pg_advisory_xact_lock(7239402);
    FOR the_day IN SELECT generate_series(first_day, last_day, interval '1 day')::date LOOP
        the_name := 'readings_' || to_char(the_day, 'YYYYMMDD');
        IF to_regclass(the_name) IS NULL THEN
            EXECUTE format('CREATE TABLE %I (LIKE readings INCLUDING INDEXES)', the_name);
            EXECUTE format('ALTER TABLE readings ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                the_name, the_day::text || ' 00:00:00+00', (the_day + 1)::text || ' 00:00:00+00');
        END IF;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION ingest_make_partitions(date, date) FROM PUBLIC;
DO $$
BEGIN
    EXECUTE format('GRANT EXECUTE ON FUNCTION ingest_make_partitions(date, date) TO %I', current_database() || '_runtime');
END
$$;
