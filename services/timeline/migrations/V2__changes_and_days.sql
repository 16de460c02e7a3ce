-- Plans and feedback beside behaviours; every change of a timeline by number; what is known of pets and their days.

-- Entries of other kinds have no behaviour; what they say stands in metadata. kind: 'behavior', 'plan', 'feedback'.
ALTER TABLE entries ALTER COLUMN behavior DROP NOT NULL;
ALTER TABLE entries ADD CONSTRAINT entries_behavior CHECK ((kind = 'behavior') = (behavior IS NOT NULL));

-- The number last given to a change of a pet's timeline, and the day its change is filed under. Rows change in place.
CREATE TABLE heads (
    pet_id uuid PRIMARY KEY,
    sequence bigint NOT NULL CHECK (sequence > 0),
    day date NOT NULL
) WITH (fillfactor = 50);

-- Every change, by number, without gaps: the entry as it became, or as it was where it is gone. The day never goes back
-- within a pet, whatever the clocks of those who write, so that dropping the oldest days takes the lowest numbers.
CREATE TABLE changes (
    pet_id uuid NOT NULL,
    sequence bigint NOT NULL,
    day date NOT NULL,
    removed boolean NOT NULL,
    written_at timestamptz NOT NULL,
    event_id uuid NOT NULL,
    kind text NOT NULL,
    behavior text,
    start_at timestamptz NOT NULL,
    end_at timestamptz NOT NULL,
    open boolean NOT NULL,
    confidence double precision NOT NULL,
    metadata jsonb NOT NULL,
    version bigint NOT NULL,
    CONSTRAINT changes_key PRIMARY KEY (pet_id, sequence, day)
) PARTITION BY RANGE (day);

-- Whose days and nights are when.
CREATE TABLE pets (
    pet_id uuid PRIMARY KEY,
    time_zone text NOT NULL,
    version bigint NOT NULL,
    updated_at timestamptz NOT NULL
);

-- What was told of days that are over.
CREATE TABLE days (
    pet_id uuid NOT NULL,
    date date NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    start_at timestamptz NOT NULL,
    end_at timestamptz NOT NULL,
    -- With readings, known behaviour or not.
    covered_minutes double precision NOT NULL,
    -- By the slug of each known behaviour.
    minutes jsonb NOT NULL,
    distance_m double precision,
    resting_heart_rate double precision,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (pet_id, date)
);

-- Makes the changes' day partitions from the first day to the last, and drops those before. Runs as the owner, because the
-- runtime role may not define anything. A partition is attached, not created in place: that lets writers and readers go on.
CREATE FUNCTION timeline_keep_changes(first_day date, last_day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    the_day date;
    the_name text;
BEGIN
    IF last_day - first_day > 100 THEN
        RAISE EXCEPTION 'too many partitions at once';
    END IF;
    PERFORM pg_advisory_xact_lock(7239403);
    FOR the_day IN SELECT generate_series(first_day, last_day, interval '1 day')::date LOOP
        the_name := 'changes_' || to_char(the_day, 'YYYYMMDD');
        IF to_regclass(the_name) IS NULL THEN
            EXECUTE format('CREATE TABLE %I (LIKE changes INCLUDING INDEXES)', the_name);
            EXECUTE format('ALTER TABLE changes ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                the_name, the_day, the_day + 1);
        END IF;
    END LOOP;
    FOR the_name IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'changes'::regclass
          -- In a CASE: the planner may ask the second condition of tables that fail the first.
          AND CASE WHEN c.relname ~ '_[0-9]{8}$'
              THEN to_date(right(c.relname, 8), 'YYYYMMDD') < first_day ELSE false END
    LOOP
        EXECUTE format('DROP TABLE %I', the_name);
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION timeline_keep_changes(date, date) FROM PUBLIC;
DO $$
BEGIN
    EXECUTE format('GRANT EXECUTE ON FUNCTION timeline_keep_changes(date, date) TO %I', current_database() || '_runtime');
END
$$;
