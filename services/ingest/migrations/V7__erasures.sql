-- Pets that are forgotten while their rows are still being deleted, a part at a time: years of readings in one transaction would
-- hold up everybody's. The row goes with the last part.
CREATE TABLE pet_erasures (
    pet_id uuid PRIMARY KEY,
    asked_at timestamptz NOT NULL,
    readings bigint NOT NULL DEFAULT 0,
    -- The collars that the pet wore: nothing else of it is found by then.
    collar_keys integer[] NOT NULL,
    -- What is before this day is deleted, and there is nothing from the other on. NULL: it was not looked yet.
    from_day date,
    until_day date,
    -- Whether `data.erased` is said at the end.
    announced boolean NOT NULL
);
