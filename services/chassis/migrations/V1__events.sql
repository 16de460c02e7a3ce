-- What every service's database has for events: outbox, relay, inbox, progress, dead letters, versions, tombstones,
-- and the answers of requests that came with a request_id. Append-only: expand in a later file, contract in another.

CREATE TABLE event_settings (
    name text PRIMARY KEY,
    value text NOT NULL
);

-- Events to be sent. Kept 7 days, so that a consumer that missed some gets them again.
CREATE TABLE event_outbox (
    id uuid NOT NULL,
    day date NOT NULL,
    topic text NOT NULL,
    shard smallint NOT NULL,
    subject uuid NOT NULL,
    version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    schema_version integer NOT NULL,
    traceparent text NOT NULL,
    payload bytea NOT NULL,
    -- The place in topic and shard, without gaps; given by the relay.
    number bigint,
    -- When Redis answered that it has it.
    sent_at timestamptz,
    PRIMARY KEY (day, id)
) PARTITION BY RANGE (day);
CREATE INDEX event_outbox_unnumbered ON event_outbox (shard, id) WHERE number IS NULL;
CREATE INDEX event_outbox_unsent ON event_outbox (topic, shard, number) WHERE sent_at IS NULL;
CREATE INDEX event_outbox_numbered ON event_outbox (topic, shard, number) WHERE number IS NOT NULL;

-- Which relay holds which shard, and until when.
CREATE TABLE event_relay_shards (
    shard smallint PRIMARY KEY,
    holder uuid,
    lease_until timestamptz NOT NULL
);

-- The number last given.
CREATE TABLE event_relay_numbers (
    topic text NOT NULL,
    shard smallint NOT NULL,
    last_number bigint NOT NULL,
    PRIMARY KEY (topic, shard)
);

-- What was handled, by event and pet. Kept 22 days; older events are refused.
CREATE TABLE event_inbox (
    event_id uuid NOT NULL,
    pet_id uuid NOT NULL,
    -- The event's own day, so that a repeated event meets the same partition.
    day date NOT NULL,
    PRIMARY KEY (day, event_id, pet_id)
) PARTITION BY RANGE (day);

-- How far each shard of each topic was handled without a gap, and what was handled beyond it.
CREATE TABLE event_progress (
    topic text NOT NULL,
    source text NOT NULL,
    shard smallint NOT NULL,
    frontier bigint NOT NULL,
    PRIMARY KEY (topic, source, shard)
);
CREATE TABLE event_progress_ahead (
    topic text NOT NULL,
    source text NOT NULL,
    shard smallint NOT NULL,
    number bigint NOT NULL,
    PRIMARY KEY (topic, source, shard, number)
);

-- Deterministic failures so far, by event and pet.
CREATE TABLE event_failures (
    event_id uuid NOT NULL,
    pet_id uuid NOT NULL,
    failures integer NOT NULL,
    last_error text NOT NULL,
    failed_at timestamptz NOT NULL,
    PRIMARY KEY (event_id, pet_id)
);

-- One pet's part of an event that could not be handled. Kept 14 days.
CREATE TABLE event_dead_letters (
    event_id uuid NOT NULL,
    pet_id uuid NOT NULL,
    topic text NOT NULL,
    source text NOT NULL,
    shard smallint NOT NULL,
    number bigint NOT NULL,
    reason text NOT NULL,
    error text NOT NULL,
    envelope bytea NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (event_id, pet_id)
);

-- The highest version of each entity that was applied. Deleted is final.
CREATE TABLE event_entity_versions (
    kind text NOT NULL,
    subject uuid NOT NULL,
    version bigint NOT NULL,
    deleted boolean NOT NULL,
    PRIMARY KEY (kind, subject)
);

-- Pets that are forgotten, for good: checked before every apply.
CREATE TABLE event_tombstones (
    pet_id uuid PRIMARY KEY,
    created_at timestamptz NOT NULL
);

-- Answers of requests that came with a request_id. Kept 25 h.
CREATE TABLE event_requests (
    request_id text PRIMARY KEY,
    method text NOT NULL,
    request_hash bytea NOT NULL,
    -- NULL where the answer holds a secret.
    answer bytea,
    created_at timestamptz NOT NULL
);
CREATE INDEX event_requests_created_at ON event_requests (created_at);

-- Marks a number as handled and moves the frontier over what is without a gap.
CREATE FUNCTION event_mark_handled(the_topic text, the_source text, the_shard smallint, the_number bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    reached bigint;
    next_number bigint;
BEGIN
    INSERT INTO event_progress (topic, source, shard, frontier) VALUES (the_topic, the_source, the_shard, 0)
    ON CONFLICT DO NOTHING;
    SELECT frontier INTO reached FROM event_progress
    WHERE topic = the_topic AND source = the_source AND shard = the_shard FOR UPDATE;
    IF the_number <= reached THEN
        RETURN;
    END IF;
    IF the_number > reached + 1 THEN
        INSERT INTO event_progress_ahead (topic, source, shard, number)
        VALUES (the_topic, the_source, the_shard, the_number) ON CONFLICT DO NOTHING;
        RETURN;
    END IF;
    reached := the_number;
    FOR next_number IN
        DELETE FROM event_progress_ahead a
        WHERE a.topic = the_topic AND a.source = the_source AND a.shard = the_shard AND a.number IN (
            SELECT run.number FROM (
                SELECT b.number, b.number - row_number() OVER (ORDER BY b.number) AS island
                FROM event_progress_ahead b
                WHERE b.topic = the_topic AND b.source = the_source AND b.shard = the_shard AND b.number > the_number
            ) run WHERE run.island = the_number
        ) RETURNING a.number
    LOOP
        reached := greatest(reached, next_number);
    END LOOP;
    UPDATE event_progress SET frontier = reached
    WHERE topic = the_topic AND source = the_source AND shard = the_shard;
END
$$;

-- Makes the day partitions around `today` and drops those past their time; a day with unsent events stays. Runs as the
-- owner, because the runtime role may not define anything.
CREATE FUNCTION event_maintain_partitions(today date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    part record;
    the_day date;
    the_name text;
    unsent boolean;
BEGIN
    PERFORM pg_advisory_xact_lock(7239401);
    FOR part IN SELECT * FROM (VALUES ('event_outbox', 7), ('event_inbox', 22)) AS kept(parent, days) LOOP
        FOR the_day IN SELECT generate_series(today - part.days - 1, today + 3, interval '1 day')::date LOOP
            the_name := part.parent || '_' || to_char(the_day, 'YYYYMMDD');
            IF to_regclass(the_name) IS NULL THEN
                EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                    the_name, part.parent, the_day, the_day + 1);
            END IF;
        END LOOP;
        FOR the_name IN
            SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
            WHERE i.inhparent = part.parent::regclass
              AND to_date(right(c.relname, 8), 'YYYYMMDD') < today - part.days - 1
        LOOP
            unsent := false;
            IF part.parent = 'event_outbox' THEN
                EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE sent_at IS NULL)', the_name) INTO unsent;
            END IF;
            IF NOT unsent THEN
                EXECUTE format('DROP TABLE %I', the_name);
            END IF;
        END LOOP;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION event_maintain_partitions(date) FROM PUBLIC;
DO $$
BEGIN
    EXECUTE format('GRANT EXECUTE ON FUNCTION event_maintain_partitions(date) TO %I', current_database() || '_runtime');
END
$$;
