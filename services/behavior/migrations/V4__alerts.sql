-- Alerts: what is watched, what was told, what owners want of it, and when to look though nothing arrives.

-- What is remembered between readings: under 1 kB.
ALTER TABLE pet_states ADD COLUMN watch bytea;
ALTER TABLE pet_states ALTER COLUMN watch SET STORAGE PLAIN;

CREATE TABLE alerts (
    alert_id uuid PRIMARY KEY,
    pet_id uuid NOT NULL,
    -- The kind's slug: 'safe_zone_left'.
    kind text NOT NULL,
    severity text NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    status text NOT NULL CHECK (status IN ('raised', 'acknowledged', 'cleared')),
    raised_at timestamptz NOT NULL,
    acknowledged_at timestamptz,
    escalated_at timestamptz,
    cleared_at timestamptz,
    -- When it is to be told once more; NULL: not.
    escalate_at timestamptz,
    notify boolean NOT NULL,
    zone_id uuid,
    -- Names with their units, and figures; no coordinates.
    evidence jsonb NOT NULL,
    rule_version text NOT NULL,
    version bigint NOT NULL CHECK (version > 0),
    updated_at timestamptz NOT NULL,
    CHECK ((status = 'cleared') = (cleared_at IS NOT NULL))
);
-- One open a pet and kind.
CREATE UNIQUE INDEX alerts_open ON alerts (pet_id, kind) WHERE status <> 'cleared';
CREATE INDEX alerts_by_time ON alerts (pet_id, raised_at DESC, alert_id DESC);
CREATE INDEX alerts_due ON alerts (escalate_at) WHERE escalate_at IS NOT NULL;

CREATE TABLE alert_settings (
    pet_id uuid PRIMARY KEY,
    -- Slugs of kinds that are not raised.
    disabled text[] NOT NULL,
    -- By the pet's clock; both or neither.
    quiet_start time,
    quiet_end time,
    escalate_after_minutes integer NOT NULL CHECK (escalate_after_minutes BETWEEN 0 AND 1440),
    version integer NOT NULL CHECK (version > 0),
    updated_at timestamptz NOT NULL,
    CHECK ((quiet_start IS NULL) = (quiet_end IS NULL))
);

CREATE TABLE safe_zones (
    zone_id uuid PRIMARY KEY,
    pet_id uuid NOT NULL,
    name text NOT NULL,
    -- Exact places: they leave with the pet, and are never told to another service.
    shape jsonb NOT NULL,
    buffer_m double precision NOT NULL CHECK (buffer_m BETWEEN 0 AND 1000),
    hours jsonb NOT NULL,
    version bigint NOT NULL CHECK (version > 0),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX safe_zones_by_pet ON safe_zones (pet_id, created_at DESC, zone_id DESC);

-- When to look at a pet though nothing arrives: not later than what it waits for.
CREATE TABLE dues (
    pet_id uuid NOT NULL,
    -- 'silence', 'inactivity'.
    what text NOT NULL,
    due_at timestamptz NOT NULL,
    PRIMARY KEY (pet_id, what)
);
CREATE INDEX dues_by_time ON dues (due_at);
