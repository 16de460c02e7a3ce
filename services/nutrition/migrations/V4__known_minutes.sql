-- Minutes of a day that say how active the pet was. NULL where the day was told before they were counted: then all that are covered
-- are taken to say it, as they were until then.
ALTER TABLE day_activity ADD COLUMN known_minutes double precision CHECK (known_minutes >= 0);
