-- What a pet's first figures depend on besides its species, as far as its owner said it: how large its breed is, and when it was born.
ALTER TABLE pet_states ADD COLUMN size text CHECK (size IN ('small', 'medium', 'large', 'giant'));
ALTER TABLE pet_states ADD COLUMN born_on date;
