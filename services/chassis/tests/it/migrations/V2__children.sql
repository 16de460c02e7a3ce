-- A constraint that says no only at the commit.
CREATE TABLE parents (id uuid PRIMARY KEY);
CREATE TABLE children (parent uuid NOT NULL REFERENCES parents DEFERRABLE INITIALLY DEFERRED);
