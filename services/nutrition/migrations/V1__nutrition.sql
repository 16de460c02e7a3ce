-- What the nutrition service keeps: what pets are, weigh and eat, how active they were, and their plans. Append-only: expand
-- in a later file, contract in another.

-- What auth says of a pet, as far as feeding goes; refreshed by pet.changed.
CREATE TABLE pets (
    pet_id uuid PRIMARY KEY,
    species text NOT NULL CHECK (species IN ('dog', 'cat')),
    breed text,
    sex text CHECK (sex IN ('female', 'male')),
    -- NULL where unknown, as is the birth date.
    neutered boolean,
    birth_date date,
    -- The IANA zone the pet's days are in.
    time_zone text NOT NULL,
    updated_at timestamptz NOT NULL
);

-- What the owner says of a pet's body and diet. No row: nothing yet. NULL: not stated.
CREATE TABLE profiles (
    pet_id uuid PRIMARY KEY,
    body_condition_score integer CHECK (body_condition_score BETWEEN 1 AND 9),
    life_stage text CHECK (life_stage IN ('growth', 'adult', 'senior', 'gestation', 'lactation')),
    neutered boolean,
    activity_level text CHECK (activity_level IN ('weight_loss', 'inactive', 'typical', 'active', 'working')),
    work text CHECK (work IN ('light', 'moderate', 'heavy')),
    expected_adult_weight_kg double precision CHECK (expected_adult_weight_kg > 0),
    mating_date date,
    litter_date date,
    litter_size integer CHECK (litter_size > 0),
    meals_per_day integer CHECK (meals_per_day > 0),
    allergies text[] NOT NULL,
    updated_at timestamptz NOT NULL
);

-- Weights as measured. Of one that was removed the weight itself is gone; its id and times stay, so that its removal can be
-- sent again.
CREATE TABLE weights (
    weight_id uuid PRIMARY KEY,
    pet_id uuid NOT NULL,
    weight_kg double precision CHECK (weight_kg > 0),
    measured_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    deleted_at timestamptz,
    CHECK ((weight_kg IS NULL) = (deleted_at IS NOT NULL))
);
-- Pages, newest first, and the last one.
CREATE INDEX weights_by_time ON weights (pet_id, measured_at DESC, weight_id DESC) WHERE deleted_at IS NULL;
CREATE INDEX weights_by_pet ON weights (pet_id);

-- Foods, each described by the account that uses it. One that was removed stays while a profile names it, and for 30 days:
-- plans say that it is gone.
CREATE TABLE foods (
    food_id uuid PRIMARY KEY,
    account_id uuid NOT NULL,
    name text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('dry', 'wet', 'raw', 'home_cooked', 'treat')),
    -- Per 100 g as fed; NULL where the label states none.
    label_kcal_per_100g double precision CHECK (label_kcal_per_100g > 0),
    -- Percent as fed; NULL where not stated.
    protein_percent double precision CHECK (protein_percent BETWEEN 0 AND 100),
    fat_percent double precision CHECK (fat_percent BETWEEN 0 AND 100),
    fibre_percent double precision CHECK (fibre_percent BETWEEN 0 AND 100),
    moisture_percent double precision CHECK (moisture_percent BETWEEN 0 AND 100),
    ash_percent double precision CHECK (ash_percent BETWEEN 0 AND 100),
    -- In lower case.
    ingredients text[] NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    -- Higher after every change.
    version integer NOT NULL CHECK (version > 0),
    deleted_at timestamptz
);
CREATE INDEX foods_by_account ON foods (account_id, created_at DESC, food_id DESC) WHERE deleted_at IS NULL;
CREATE INDEX foods_deleted ON foods (deleted_at) WHERE deleted_at IS NOT NULL;

-- The foods chosen for a pet's meals.
CREATE TABLE profile_foods (
    pet_id uuid NOT NULL REFERENCES profiles ON DELETE CASCADE,
    food_id uuid NOT NULL REFERENCES foods,
    -- As the owner ordered them, from 0.
    position integer NOT NULL CHECK (position >= 0),
    share double precision NOT NULL CHECK (share >= 0),
    PRIMARY KEY (pet_id, food_id)
);
-- The pets that a food's change concerns.
CREATE INDEX profile_foods_by_food ON profile_foods (food_id);

-- A pet's days as behavior.day_closed tells them, each at its highest version; 60 days are kept.
CREATE TABLE day_activity (
    pet_id uuid NOT NULL,
    date date NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    -- Minutes with readings.
    covered_minutes double precision NOT NULL CHECK (covered_minutes >= 0),
    -- Minutes of what counts as activity.
    active_minutes double precision NOT NULL CHECK (active_minutes >= 0),
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (pet_id, date)
);

-- How active each measured pet is, for others of its kind to be held against: an amount and a kind, nothing of whose it is.
CREATE TABLE peers (
    pet_id uuid PRIMARY KEY,
    -- Species, size and age: 'dog/medium/adult'.
    kind text NOT NULL,
    -- Median of its days.
    active_minutes double precision NOT NULL CHECK (active_minutes >= 0),
    updated_at timestamptz NOT NULL
);
CREATE INDEX peers_by_kind ON peers (kind, updated_at DESC);

-- The plan last told of each pet that anything is known of.
CREATE TABLE plans (
    pet_id uuid PRIMARY KEY,
    -- One more after every change worth telling.
    version integer NOT NULL CHECK (version > 0),
    -- Energy a day; NULL where the plan lacks what it needs.
    kcal_per_day double precision CHECK (kcal_per_day > 0),
    -- What was told, for the next one to be held against.
    snapshot jsonb NOT NULL,
    updated_at timestamptz NOT NULL,
    -- When it is made anew though nothing was said: after the pet's next midnight.
    due_at timestamptz NOT NULL
);
CREATE INDEX plans_due ON plans (due_at);
