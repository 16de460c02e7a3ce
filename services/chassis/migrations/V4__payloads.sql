-- Payloads are numbers and ids for the most part. Past 2 kB PostgreSQL tried to pack each, which took longer than to write it, and
-- the relay unpacked it again a moment later. Partitions that come take after their table.
ALTER TABLE event_outbox ALTER COLUMN payload SET STORAGE EXTERNAL;
