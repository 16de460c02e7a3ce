-- Tickets that stand for an access token, once, where a client can send no header. Not kept themselves, only their SHA-256.
CREATE TABLE stream_tickets (
    ticket_hash bytea PRIMARY KEY,
    session_id uuid NOT NULL REFERENCES sessions ON DELETE CASCADE,
    expires_at timestamptz NOT NULL
);
CREATE INDEX stream_tickets_session ON stream_tickets (session_id);
CREATE INDEX stream_tickets_expires_at ON stream_tickets (expires_at);
