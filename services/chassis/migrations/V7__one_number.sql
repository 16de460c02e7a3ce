-- One number is a run of one: what V1 wrote for one number is V6's for a run of it.
CREATE OR REPLACE FUNCTION event_mark_handled(the_topic text, the_source text, the_shard smallint, the_number bigint)
RETURNS void LANGUAGE sql AS $$
    SELECT event_mark_handled(the_topic, the_source, the_shard, the_number, the_number)
$$;
