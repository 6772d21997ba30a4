-- What was done, by whom: written with the change itself, never changed or removed.
-- +goose Up

-- position and hash are given once, shortly after: rows commit in another order than
-- that of their ids, and a chain made while they are written would be a queue.
CREATE TABLE audit (
    id       INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL,
    actor    TEXT    NOT NULL, -- JSON
    action   TEXT    NOT NULL,
    object   TEXT    NOT NULL,
    result   TEXT    NOT NULL,
    detail   TEXT    NOT NULL, -- JSON
    position INTEGER,
    hash     TEXT              -- hexadecimal
);
CREATE UNIQUE INDEX audit_position ON audit (position);
CREATE INDEX audit_unsealed ON audit (id) WHERE position IS NULL;
-- The end of the chain, in one row.
CREATE TABLE audit_head (
    id       INTEGER NOT NULL PRIMARY KEY,
    position INTEGER NOT NULL,
    hash     TEXT    NOT NULL
);
INSERT INTO audit_head (id, position, hash) VALUES (1, 0, '0000000000000000000000000000000000000000000000000000000000000000');

-- only SQLite
-- +goose StatementBegin
CREATE TRIGGER audit_kept BEFORE DELETE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit log keeps every row');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_sealed_once BEFORE UPDATE ON audit
WHEN OLD.position IS NOT NULL OR NEW.position IS NULL OR NEW.hash IS NULL OR NEW.id <> OLD.id OR NEW.at <> OLD.at
    OR NEW.actor <> OLD.actor OR NEW.action <> OLD.action OR NEW.object <> OLD.object OR NEW.result <> OLD.result OR NEW.detail <> OLD.detail
BEGIN
    SELECT RAISE(ABORT, 'a row of the audit log is sealed once and not changed');
END;
-- +goose StatementEnd
-- end only

-- only PostgreSQL
-- +goose StatementBegin
CREATE FUNCTION audit_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log keeps every row, and a row is sealed once and not changed';
END
$$;
-- +goose StatementEnd
CREATE TRIGGER audit_kept BEFORE DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_kept();
CREATE TRIGGER audit_not_emptied BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION audit_kept();
CREATE TRIGGER audit_sealed_once BEFORE UPDATE ON audit FOR EACH ROW
WHEN (OLD.position IS NOT NULL OR NEW.position IS NULL OR NEW.hash IS NULL OR NEW.id <> OLD.id OR NEW.at <> OLD.at
    OR NEW.actor <> OLD.actor OR NEW.action <> OLD.action OR NEW.object <> OLD.object OR NEW.result <> OLD.result OR NEW.detail <> OLD.detail)
EXECUTE FUNCTION audit_kept();
-- end only
