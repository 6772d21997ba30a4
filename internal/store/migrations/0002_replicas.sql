-- What several servers on one database need; UNLOGGED is for PostgreSQL.
-- +goose Up

-- When the validation was begun, or taken over from a server that has not finished it.
ALTER TABLE challenge ADD COLUMN started_at INTEGER NOT NULL DEFAULT 0;

-- The key that makes anti-replay nonces, and those that have come back. Both are gone
-- after a crash of the database, so that none can come back a second time. SQLite has
-- one server, which keeps this in memory.
CREATE /* UNLOGGED */ TABLE nonce_key (
    id  INTEGER PRIMARY KEY, -- 1
    key BLOB NOT NULL
);
CREATE /* UNLOGGED */ TABLE nonce_used (
    nonce BLOB PRIMARY KEY -- begins with the time when it was made
);
