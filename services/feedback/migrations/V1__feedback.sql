-- What the feedback service keeps. Append-only: expand in a later file, contract in another.

-- The events that were told, each at its highest version so far; superseded ones too, so that what is said of them later
-- still finds its pet. No coordinates.
CREATE TABLE episodes (
    event_id uuid PRIMARY KEY,
    pet_id uuid NOT NULL,
    -- The behaviour's slug: 'deep_sleep'.
    behavior text NOT NULL,
    rule text NOT NULL,
    rule_version text NOT NULL,
    start_at timestamptz NOT NULL,
    end_at timestamptz NOT NULL,
    -- True while it may still go on.
    open boolean NOT NULL,
    -- Readings, heart rate, distance, speed.
    evidence jsonb NOT NULL,
    -- Higher after every change.
    version bigint NOT NULL CHECK (version > 0),
    superseded boolean NOT NULL,
    -- What stands in its place, where it is superseded.
    replaced_by uuid[] NOT NULL,
    updated_at timestamptz NOT NULL,
    CHECK (start_at <= end_at)
);
CREATE INDEX episodes_by_pet ON episodes (pet_id);

-- The archive's objects: each a projection of the feedback that is assigned to it. Rows are kept when an object has become
-- empty, because words that count no more still name it.
CREATE TABLE archive_objects (
    object_id uuid PRIMARY KEY,
    -- The UTC day on which its feedback came in.
    day date NOT NULL,
    -- What was ever assigned to it, to know when it is full.
    lines integer NOT NULL CHECK (lines >= 0),
    bytes bigint NOT NULL CHECK (bytes >= 0),
    -- One more after each change of what it must hold.
    generation bigint NOT NULL CHECK (generation > 0),
    -- The generation that the store holds.
    written_generation bigint NOT NULL CHECK (written_generation >= 0),
    -- When its generation last changed.
    changed_at timestamptz NOT NULL,
    -- Whoever writes it now, and until when nobody else does.
    lease uuid,
    leased_until timestamptz,
    CHECK (written_generation <= generation),
    CHECK ((lease IS NULL) = (leased_until IS NULL))
);
-- What is to be written.
CREATE INDEX archive_objects_dirty ON archive_objects (changed_at) WHERE generation > written_generation;
-- What has room.
CREATE INDEX archive_objects_by_day ON archive_objects (day, object_id);

-- What people said. Rows do not change but for: whether they count, which object they are in, and what was told, where it
-- was not known at first.
CREATE TABLE feedback (
    feedback_id uuid PRIMARY KEY,
    event_id uuid NOT NULL,
    pet_id uuid NOT NULL,
    account_id uuid NOT NULL,
    -- 'correct', 'wrong', 'unsure'.
    verdict text NOT NULL CHECK (verdict IN ('correct', 'wrong', 'unsure')),
    -- A behaviour's slug.
    actual_behavior text,
    comment text CHECK (char_length(comment) BETWEEN 1 AND 1000),
    segment jsonb,
    -- When it was said; never after it came in.
    said_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    -- True for the newest word of its account on its event.
    counts boolean NOT NULL,
    -- What was told of the event when it was said.
    version bigint NOT NULL,
    behavior text NOT NULL,
    rule text NOT NULL,
    rule_version text NOT NULL,
    start_at timestamptz NOT NULL,
    end_at timestamptz NOT NULL,
    open boolean NOT NULL,
    evidence jsonb NOT NULL,
    -- What had replaced the event by then.
    replaced_by uuid[] NOT NULL,
    -- True: the event itself was not known here, and what was told is taken from what replaced it.
    secondhand boolean NOT NULL,
    -- The archive's object it is in.
    object_id uuid REFERENCES archive_objects,
    CHECK (said_at <= created_at)
);
-- Pages, newest first.
CREATE INDEX feedback_by_event ON feedback (event_id, said_at DESC, feedback_id DESC);
CREATE UNIQUE INDEX feedback_counting ON feedback (event_id, account_id) WHERE counts;
-- Erasure.
CREATE INDEX feedback_by_pet ON feedback (pet_id);
-- An object's lines.
CREATE INDEX feedback_by_object ON feedback (object_id, created_at, feedback_id) WHERE counts;
-- What the archive has not taken up yet.
CREATE INDEX feedback_unassigned ON feedback (created_at, feedback_id) WHERE object_id IS NULL AND counts AND NOT secondhand;
-- Statistics.
CREATE INDEX feedback_said ON feedback (said_at) WHERE counts AND NOT secondhand;

-- What a pet is called in the archive: drawn at random, so that nobody finds the pet by it once the row is gone.
CREATE TABLE archive_pets (
    pet_id uuid PRIMARY KEY,
    pseudonym uuid NOT NULL UNIQUE
);

-- Erased pets whose words the store may still hold: in which object, until which generation of it is written.
CREATE TABLE archive_erasures (
    pet_id uuid NOT NULL,
    object_id uuid NOT NULL REFERENCES archive_objects,
    generation bigint NOT NULL,
    PRIMARY KEY (pet_id, object_id)
);
CREATE INDEX archive_erasures_by_object ON archive_erasures (object_id);
