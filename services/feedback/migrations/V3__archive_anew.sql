-- Numbers of members named as times could get into the archive as they came, positions among them. They cannot any more; so that
-- none stays there, each object that has a segment in it is written anew from its rows.
UPDATE archive_objects o SET generation = generation + 1
WHERE EXISTS (SELECT FROM feedback f WHERE f.object_id = o.object_id AND f.counts AND f.segment IS NOT NULL);
