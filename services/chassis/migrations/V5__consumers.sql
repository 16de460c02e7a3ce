-- Who reads which shard, and until when. Not logged: what is lost of it in a crash is agreed upon anew within a lease, and what is
-- written every second need not reach the disk.

-- Replicas that are there.
CREATE UNLOGGED TABLE event_consumers (
    holder text PRIMARY KEY,
    alive_until timestamptz NOT NULL
);

CREATE UNLOGGED TABLE event_consumer_shards (
    shard smallint PRIMARY KEY,
    holder text,
    lease_until timestamptz NOT NULL
);
