-- What the tests' handler did, without any constraint: what is applied twice is seen twice.
CREATE TABLE applied (
    event_id uuid NOT NULL,
    pet_id uuid NOT NULL,
    body bytea NOT NULL,
    -- Later for what was applied later.
    place bigint GENERATED ALWAYS AS IDENTITY
);
