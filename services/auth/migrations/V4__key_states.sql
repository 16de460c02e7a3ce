-- A signing key is published before it signs: the next one is known everywhere once its time comes.
ALTER TABLE signing_keys DROP CONSTRAINT signing_keys_state_check;
ALTER TABLE signing_keys ADD CONSTRAINT signing_keys_state_check CHECK (state IN ('next', 'current', 'retired'));
CREATE UNIQUE INDEX signing_keys_next ON signing_keys (state) WHERE state = 'next';
-- When the current key gives way to the next one; NULL: made by a version that did not say, a lifetime after it was made.
ALTER TABLE signing_keys ADD COLUMN due_at timestamptz;

-- A sealed successor is there for the seconds of grace, and then no more.
CREATE INDEX refresh_tokens_sealed ON refresh_tokens (used_at) WHERE successor_sealed IS NOT NULL;
