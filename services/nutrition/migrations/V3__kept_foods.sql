-- Foods as pets eat them on, whatever becomes of the foods: what an account that may not write of a pet any more does to its foods
-- must not reach that pet's bowl. A row stands for the pet's food until an account that may write of it changes that food, or it
-- is not chosen any more. Nothing in it says whose it was.
CREATE TABLE kept_foods (
    pet_id uuid NOT NULL,
    food_id uuid NOT NULL,
    name text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('dry', 'wet', 'raw', 'home_cooked', 'treat')),
    -- As in foods.
    label_kcal_per_100g double precision CHECK (label_kcal_per_100g > 0),
    protein_percent double precision CHECK (protein_percent BETWEEN 0 AND 100),
    fat_percent double precision CHECK (fat_percent BETWEEN 0 AND 100),
    fibre_percent double precision CHECK (fibre_percent BETWEEN 0 AND 100),
    moisture_percent double precision CHECK (moisture_percent BETWEEN 0 AND 100),
    ash_percent double precision CHECK (ash_percent BETWEEN 0 AND 100),
    ingredients text[] NOT NULL,
    kept_at timestamptz NOT NULL,
    PRIMARY KEY (pet_id, food_id),
    FOREIGN KEY (pet_id, food_id) REFERENCES profile_foods ON DELETE CASCADE
);
-- A food's change, an account's closing.
CREATE INDEX kept_foods_by_food ON kept_foods (food_id);

-- A food that is kept outlives its account.
ALTER TABLE profile_foods DROP CONSTRAINT profile_foods_food_id_fkey;
