-- A table that gets a partition by CREATE TABLE … PARTITION OF is locked for everybody until the transaction ends, and so is one whose
-- partition is dropped; the outbox and the inbox are what everybody writes. So partitions are attached, which lets writers and
-- readers go on, and dropped one table at a time, waiting for at most a second: whoever comes meanwhile waits for that long.
CREATE OR REPLACE FUNCTION event_maintain_partitions(today date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    part record;
    the_day date;
    the_name text;
BEGIN
    PERFORM pg_advisory_xact_lock(7239401);
    FOR part IN SELECT * FROM (VALUES ('event_inbox', 22), ('event_outbox', 7)) AS kept(parent, days) LOOP
        FOR the_day IN SELECT generate_series(today - part.days - 1, today + 3, interval '1 day')::date LOOP
            the_name := part.parent || '_' || to_char(the_day, 'YYYYMMDD');
            IF to_regclass(the_name) IS NULL THEN
                EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING INDEXES INCLUDING STORAGE)',
                    the_name, part.parent);
                EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                    part.parent, the_name, the_day, the_day + 1);
            END IF;
        END LOOP;
    END LOOP;
END
$$;

-- Drops the days of the inbox or of the outbox that are past their time, but for those of which something was not sent.
CREATE FUNCTION event_drop_partitions(the_parent text, today date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '1s' AS $$
DECLARE
    the_days integer := CASE the_parent WHEN 'event_inbox' THEN 22 WHEN 'event_outbox' THEN 7 END;
    the_name text;
    unsent boolean;
BEGIN
    IF the_days IS NULL THEN
        RAISE EXCEPTION 'no table of events with days: %', the_parent;
    END IF;
    PERFORM pg_advisory_xact_lock(7239401);
    FOR the_name IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = the_parent::regclass
          AND CASE WHEN c.relname ~ '_[0-9]{8}$'
              THEN to_date(right(c.relname, 8), 'YYYYMMDD') < today - the_days - 1 ELSE false END
    LOOP
        unsent := false;
        IF the_parent = 'event_outbox' THEN
            EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE sent_at IS NULL)', the_name) INTO unsent;
        END IF;
        IF NOT unsent THEN
            EXECUTE format('DROP TABLE %I', the_name);
        END IF;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION event_drop_partitions(text, date) FROM PUBLIC;
DO $$
BEGIN
    EXECUTE format('GRANT EXECUTE ON FUNCTION event_drop_partitions(text, date) TO %I', current_database() || '_runtime');
END
$$;

-- As V6's, but for that it looks through the numbers ahead only where the next one is among them: while a large gap is closed, page by
-- page, that many more are waiting behind it.
CREATE OR REPLACE FUNCTION event_mark_handled(the_topic text, the_source text, the_shard smallint, the_first bigint, the_last bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    reached bigint;
    next_number bigint;
BEGIN
    INSERT INTO event_progress (topic, source, shard, frontier) VALUES (the_topic, the_source, the_shard, 0)
    ON CONFLICT DO NOTHING;
    SELECT frontier INTO reached FROM event_progress
    WHERE topic = the_topic AND source = the_source AND shard = the_shard FOR UPDATE;
    IF the_last <= reached THEN
        RETURN;
    END IF;
    IF the_first > reached + 1 THEN
        INSERT INTO event_progress_ahead (topic, source, shard, number)
        SELECT the_topic, the_source, the_shard, number FROM generate_series(the_first, the_last) AS run (number)
        ON CONFLICT DO NOTHING;
        RETURN;
    END IF;
    reached := the_last;
    DELETE FROM event_progress_ahead a
    WHERE a.topic = the_topic AND a.source = the_source AND a.shard = the_shard AND a.number <= the_last;
    IF EXISTS (SELECT FROM event_progress_ahead a WHERE a.topic = the_topic AND a.source = the_source
               AND a.shard = the_shard AND a.number = the_last + 1) THEN
        FOR next_number IN
            DELETE FROM event_progress_ahead a
            WHERE a.topic = the_topic AND a.source = the_source AND a.shard = the_shard AND a.number IN (
                SELECT run.number FROM (
                    SELECT b.number, b.number - row_number() OVER (ORDER BY b.number) AS island
                    FROM event_progress_ahead b
                    WHERE b.topic = the_topic AND b.source = the_source AND b.shard = the_shard AND b.number > the_last
                ) run WHERE run.island = the_last
            ) RETURNING a.number
        LOOP
            reached := greatest(reached, next_number);
        END LOOP;
    END IF;
    UPDATE event_progress SET frontier = reached
    WHERE topic = the_topic AND source = the_source AND shard = the_shard;
END
$$;
