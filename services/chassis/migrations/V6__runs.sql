-- Marks a run of numbers as handled, as `event_mark_handled` marks one: what is handled together is mostly a run, and a row that is
-- changed a hundred times in a transaction is found through a hundred versions of it.
CREATE FUNCTION event_mark_handled(the_topic text, the_source text, the_shard smallint, the_first bigint, the_last bigint)
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
    UPDATE event_progress SET frontier = reached
    WHERE topic = the_topic AND source = the_source AND shard = the_shard;
END
$$;
