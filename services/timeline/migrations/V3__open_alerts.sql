-- What is open reaches into spans that its row's end does not reach; there are few of these.
CREATE INDEX entries_open_alerts ON entries (pet_id) WHERE open AND kind = 'alert';
