-- What the timeline service keeps of a pet. Append-only: expand in a later file, contract in another.

-- What happened, each at its highest version so far. What is superseded or unknown has no row; that it was seen stands in
-- event_entity_versions, so that an older version does not bring it back.
CREATE TABLE entries (
    event_id uuid PRIMARY KEY,
    pet_id uuid NOT NULL,
    -- 'behavior'.
    kind text NOT NULL,
    -- The behaviour's slug: 'deep_sleep'.
    behavior text NOT NULL,
    start_at timestamptz NOT NULL,
    end_at timestamptz NOT NULL,
    -- True while it may still go on.
    open boolean NOT NULL,
    confidence double precision NOT NULL CHECK (confidence BETWEEN 0 AND 1),
    -- What it rests on; no coordinates.
    metadata jsonb NOT NULL,
    -- Higher after every change.
    version bigint NOT NULL CHECK (version > 0),
    updated_at timestamptz NOT NULL,
    CHECK (start_at <= end_at)
);
-- Pages, newest first.
CREATE INDEX entries_by_start ON entries (pet_id, start_at DESC, event_id DESC);
-- What reaches into a span.
CREATE INDEX entries_by_end ON entries (pet_id, end_at);
