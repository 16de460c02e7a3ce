-- The audit log in 16 hash chains, and what is left of accounts that were closed.

-- From where: the client's address, as a keyed hash.
ALTER TABLE audit_log ADD COLUMN source bytea;

-- Where each chain ends. A transaction locks one of them, at its commit.
CREATE TABLE audit_heads (
    chain smallint PRIMARY KEY CHECK (chain BETWEEN 0 AND 15),
    -- The last entry's place, from 1; 0 where there is none.
    place bigint NOT NULL,
    hash bytea NOT NULL
);
INSERT INTO audit_heads (chain, place, hash)
SELECT chain, 0, decode(repeat('00', 32), 'hex') FROM generate_series(0, 15) AS chain;

-- Each entry's place in its chain: its hash is of the hash before it and of all that the entry says.
CREATE TABLE audit_links (
    chain smallint NOT NULL,
    place bigint NOT NULL,
    entry_id bigint NOT NULL CONSTRAINT audit_links_entry UNIQUE,
    hash bytea NOT NULL,
    PRIMARY KEY (chain, place)
);

-- A text with its length, so that no two entries read alike.
CREATE FUNCTION audit_field(the_text text) RETURNS bytea LANGUAGE sql STABLE AS $$
    SELECT int4send(octet_length(convert_to(the_text, 'UTF8'))) || convert_to(the_text, 'UTF8')
$$;

-- SHA-256 over: the hash before; chain (4 bytes), place (8), id (8), microseconds since 1970 (8); then each with its length
-- (4 bytes): actor_kind, actor, action, subject, outcome, request_id, detail as PostgreSQL writes it, and source.
-- services/auth/src/domain/chain.rs computes the same.
CREATE FUNCTION audit_hash(the_hash bytea, the_chain smallint, the_place bigint, entry audit_log) RETURNS bytea
LANGUAGE sql STABLE AS $$
    SELECT sha256(
        the_hash || int4send(the_chain::integer) || int8send(the_place) || int8send(entry.id)
        || int8send((extract(epoch FROM entry.at) * 1000000)::bigint)
        || audit_field(entry.actor_kind) || audit_field(entry.actor) || audit_field(entry.action)
        || audit_field(entry.subject) || audit_field(entry.outcome) || audit_field(entry.request_id)
        || audit_field(entry.detail::text)
        || int4send(octet_length(coalesce(entry.source, ''))) || coalesce(entry.source, '')
    )
$$;

-- Adds an entry to a chain. Its head stays locked to the end of the transaction.
CREATE FUNCTION audit_append(the_chain smallint, entry audit_log) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    head audit_heads;
    the_hash bytea;
BEGIN
    SELECT * INTO STRICT head FROM audit_heads WHERE chain = the_chain FOR UPDATE;
    the_hash := audit_hash(head.hash, the_chain, head.place + 1, entry);
    INSERT INTO audit_links (chain, place, entry_id, hash) VALUES (the_chain, head.place + 1, entry.id, the_hash);
    UPDATE audit_heads SET place = head.place + 1, hash = the_hash WHERE chain = the_chain;
END
$$;

-- Entries of before, in the order in which they were written.
DO $$
DECLARE
    entry audit_log;
BEGIN
    FOR entry IN SELECT * FROM audit_log ORDER BY id LOOP
        PERFORM audit_append((entry.id % 16)::smallint, entry);
    END LOOP;
END
$$;

-- Runs as the owner, because the runtime role may write neither links nor heads; and at the commit, so that a head is locked
-- for as long as the commit takes, and no longer. All entries of a transaction go to one chain, so no two transactions wait
-- for each other's; those that follow each other go to different ones.
CREATE FUNCTION audit_link() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM audit_append((pg_current_xact_id()::text::numeric % 16)::smallint, NEW);
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER audit_linked AFTER INSERT ON audit_log
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit_link();

REVOKE ALL ON FUNCTION audit_append(smallint, audit_log), audit_link() FROM PUBLIC;
DO $$
BEGIN
    EXECUTE format('REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON audit_links, audit_heads FROM %I', current_database() || '_runtime');
END
$$;

-- What is left of an account that was closed: its id, so that the closing can be sent again, and the event that told.
CREATE TABLE closed_accounts (
    account_id uuid PRIMARY KEY,
    closed_at timestamptz NOT NULL,
    closed_event uuid NOT NULL
);

