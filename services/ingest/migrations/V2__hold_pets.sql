-- Keeps pets from being erased until the transaction ends, and refuses where one is erased already. Each of its statements
-- sees what was committed while the locks were waited for, because it is volatile.
CREATE FUNCTION ingest_hold_pets(lock_class integer, the_shards integer[], the_pets uuid[]) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(lock_class, shard) FROM unnest(the_shards) AS shard;
    IF EXISTS (SELECT FROM event_tombstones WHERE pet_id = ANY (the_pets)) THEN
        RAISE EXCEPTION 'a pet is erased' USING ERRCODE = 'PT001';
    END IF;
END
$$;
