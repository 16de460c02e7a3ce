-- An open episode that merely grows is not told each time: what was told of it last, where that is not what stands.
-- NULL, both: it was told as it stands.
ALTER TABLE episodes ADD COLUMN told_end_at timestamptz;
ALTER TABLE episodes ADD COLUMN told_confidence double precision;
ALTER TABLE episodes ADD CONSTRAINT episodes_told CHECK ((told_end_at IS NULL) = (told_confidence IS NULL));
-- What is to be told once nothing more comes.
CREATE INDEX episodes_untold ON episodes (updated_at) WHERE told_end_at IS NOT NULL;
