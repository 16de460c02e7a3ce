-- Of which tables the name is read as a date was up to the planner: once the catalogs were analysed, it was of all tables, and
-- failed. Now it is of those alone whose name ends in one.
CREATE OR REPLACE FUNCTION event_maintain_partitions(today date) RETURNS void
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
              AND CASE WHEN c.relname ~ '_[0-9]{8}$'
                  THEN to_date(right(c.relname, 8), 'YYYYMMDD') < today - part.days - 1 ELSE false END
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
