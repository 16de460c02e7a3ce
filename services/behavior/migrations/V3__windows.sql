-- Behaviour as readings arrive: a small head a pet, its readings in slices of five minutes, its days in quarters.
-- pet_states.state, spine/1's window, is not written any more; it leaves in a later file.

-- Under 2,000 B, rewritten with each flush: in its own page, without a detour.
ALTER TABLE pet_states ADD COLUMN head bytea;
ALTER TABLE pet_states ALTER COLUMN head SET STORAGE PLAIN;
ALTER TABLE pet_states SET (fillfactor = 50);

-- A pet's readings that may still matter: 31 days. Exact positions: they leave with the pet.
CREATE TABLE reading_slices (
    pet_id uuid NOT NULL,
    -- Five minutes of the clock since 1970.
    slice bigint NOT NULL,
    -- Encoded; about 1 kB at one reading in 5 s.
    readings bytea NOT NULL,
    PRIMARY KEY (pet_id, slice)
) WITH (fillfactor = 70);
ALTER TABLE reading_slices ALTER COLUMN readings SET STORAGE EXTERNAL;

-- A pet's quarters of days, summed up.
CREATE TABLE quarters (
    pet_id uuid NOT NULL,
    -- Six hours of the clock since 1970.
    quarter bigint NOT NULL,
    -- How often each heart rate was seen at rest, encoded; NULL: not counted yet.
    rest bytea,
    -- The episode that goes on beyond its end, as far as it, encoded; NULL: not certain yet.
    carry bytea,
    PRIMARY KEY (pet_id, quarter),
    CHECK (rest IS NOT NULL OR carry IS NOT NULL)
);

-- Tells a changed episode from an unchanged one.
ALTER TABLE episodes ADD COLUMN digest bigint NOT NULL DEFAULT 0;
