-- Readings by day and then by collar; means of each minute and hour; retention. Existing readings are taken over.

-- Which of a day's parts a collar's readings are in, as PostgreSQL decides it: flushes are sorted by it, so that two of them
-- touch the parts in one order. The table stays empty.
CREATE TABLE readings_parts (collar_key integer NOT NULL) PARTITION BY HASH (collar_key);
CREATE FUNCTION ingest_part(the_key integer) RETURNS integer LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    SELECT part FROM generate_series(0, 3) AS part
    WHERE satisfies_hash_partition('readings_parts'::regclass, 4, part, the_key)
$$;

-- A day is made with its four parts, and then attached: that lets flushes and reads go on.
CREATE OR REPLACE FUNCTION ingest_make_partitions(first_day date, last_day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    the_day date;
    the_name text;
    part integer;
BEGIN
    IF last_day - first_day > 800 THEN
        RAISE EXCEPTION 'too many partitions at once';
    END IF;
    PERFORM pg_advisory_xact_lock(7239402);
    FOR the_day IN SELECT generate_series(first_day, last_day, interval '1 day')::date LOOP
        the_name := 'readings_' || to_char(the_day, 'YYYYMMDD');
        IF to_regclass(the_name) IS NULL THEN
            EXECUTE format('CREATE TABLE %I (LIKE readings INCLUDING INDEXES) PARTITION BY HASH (collar_key)', the_name);
            FOR part IN 0..3 LOOP
                EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES WITH (MODULUS 4, REMAINDER %s)',
                    the_name || '_' || part, the_name, part);
            END LOOP;
            EXECUTE format('ALTER TABLE readings ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                the_name, the_day::text || ' 00:00:00+00', (the_day + 1)::text || ' 00:00:00+00');
        END IF;
    END LOOP;
END
$$;

-- The days that are there are made anew in four parts.
DO $$
DECLARE
    old_day record;
    the_day date;
BEGIN
    FOR old_day IN
        SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'readings'::regclass AND c.relkind = 'r'
    LOOP
        the_day := to_date(right(old_day.name, 8), 'YYYYMMDD');
        EXECUTE format('ALTER TABLE readings DETACH PARTITION %I', old_day.name);
        EXECUTE format('ALTER TABLE %I RENAME TO %I', old_day.name, 'old_' || old_day.name);
        PERFORM ingest_make_partitions(the_day, the_day);
        EXECUTE format('INSERT INTO readings (measured_at, pet_id, heart_rate, respiratory_rate, temperature, '
            'skin_temperature, battery_level, accuracy_m, collar_key, longitude_e6, latitude_e6, sequence_id, '
            'activity_level) SELECT measured_at, pet_id, heart_rate, respiratory_rate, temperature, skin_temperature, '
            'battery_level, accuracy_m, collar_key, longitude_e6, latitude_e6, sequence_id, activity_level FROM %I',
            'old_' || old_day.name);
        EXECUTE format('DROP TABLE %I', 'old_' || old_day.name);
    END LOOP;
END
$$;

-- Sums of each signal and how often it was there, by collar, pet and minute: means of longer spans and of several collars
-- follow from them. No positions.
CREATE TABLE readings_minute (
    span_start timestamptz NOT NULL,
    newest_at timestamptz NOT NULL,
    pet_id uuid NOT NULL,
    heart_rate_sum double precision,
    respiratory_rate_sum double precision,
    temperature_sum double precision,
    skin_temperature_sum double precision,
    battery_level_sum double precision,
    activity_level_sum bigint,
    collar_key integer NOT NULL,
    readings integer NOT NULL,
    heart_rate_count integer NOT NULL,
    respiratory_rate_count integer NOT NULL,
    temperature_count integer NOT NULL,
    skin_temperature_count integer NOT NULL,
    battery_level_count integer NOT NULL,
    activity_level_count integer NOT NULL,
    CONSTRAINT readings_minute_key UNIQUE (collar_key, span_start, pet_id)
) PARTITION BY RANGE (span_start);
CREATE TABLE readings_hour (LIKE readings_minute INCLUDING INDEXES) PARTITION BY RANGE (span_start);

-- The minutes (since 1970) of collars that readings were written into, one row for each flush, in its transaction. Whoever
-- takes rows away sums those minutes anew.
CREATE TABLE readings_dirty (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    collar_keys integer[] NOT NULL,
    minutes integer[] NOT NULL
);
INSERT INTO readings_dirty (collar_keys, minutes)
SELECT array_agg(collar_key), array_agg(minute)
FROM (SELECT DISTINCT collar_key, floor(extract(epoch FROM measured_at) / 60)::integer AS minute FROM readings) d
GROUP BY collar_key;

-- Minutes by month, hours by year.
CREATE FUNCTION ingest_make_rollups(first_day date, last_day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    span record;
BEGIN
    IF last_day - first_day > 800 THEN
        RAISE EXCEPTION 'too many partitions at once';
    END IF;
    PERFORM pg_advisory_xact_lock(7239402);
    FOR span IN
        SELECT 'readings_minute' AS parent, to_char(m, 'YYYYMM') AS suffix, m::date AS start_day,
               (m + interval '1 month')::date AS end_day
        FROM generate_series(date_trunc('month', first_day::timestamp), last_day::timestamp, interval '1 month') AS m
        UNION ALL
        SELECT 'readings_hour', to_char(y, 'YYYY'), y::date, (y + interval '1 year')::date
        FROM generate_series(date_trunc('year', first_day::timestamp), last_day::timestamp, interval '1 year') AS y
    LOOP
        IF to_regclass(span.parent || '_' || span.suffix) IS NULL THEN
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING INDEXES)', span.parent || '_' || span.suffix, span.parent);
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', span.parent,
                span.parent || '_' || span.suffix, span.start_day::text || ' 00:00:00+00',
                span.end_day::text || ' 00:00:00+00');
        END IF;
    END LOOP;
END
$$;

-- Drops what is wholly before a day: days of readings, months of minutes, years of hours. Says how many went.
CREATE FUNCTION ingest_drop_partitions(readings_before date, minutes_before date, hours_before date) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    old record;
    dropped integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(7239402);
    FOR old IN
        SELECT c.relname AS name
        FROM pg_inherits i
        JOIN pg_class c ON c.oid = i.inhrelid
        CROSS JOIN LATERAL (SELECT substring(c.relname FROM '_([0-9]+)$') AS digits) s
        WHERE CASE i.inhparent
            WHEN 'readings'::regclass THEN to_date(digits, 'YYYYMMDD') + 1 <= readings_before
            WHEN 'readings_minute'::regclass THEN to_date(digits, 'YYYYMM') + interval '1 month' <= minutes_before
            WHEN 'readings_hour'::regclass THEN to_date(digits, 'YYYY') + interval '1 year' <= hours_before
            ELSE false
        END
    LOOP
        EXECUTE format('DROP TABLE %I', old.name);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;

REVOKE ALL ON FUNCTION ingest_make_rollups(date, date), ingest_drop_partitions(date, date, date) FROM PUBLIC;
DO $$
BEGIN
    EXECUTE format('GRANT EXECUTE ON FUNCTION ingest_make_rollups(date, date), ingest_drop_partitions(date, date, date) TO %I',
        current_database() || '_runtime');
END
$$;
