-- The days of which totals are told: one row a pet and day of its time zone that an episode ever touched.
CREATE TABLE days (
    pet_id uuid NOT NULL,
    date date NOT NULL,
    -- When its totals are to be told (anew); NULL: they are told, and nothing changed since.
    due_at timestamptz,
    -- How often they were told.
    version integer NOT NULL DEFAULT 0 CHECK (version >= 0),
    -- As they were last told, so that the same is not told twice.
    totals jsonb,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (pet_id, date)
);
CREATE INDEX days_due ON days (due_at) WHERE due_at IS NOT NULL;
