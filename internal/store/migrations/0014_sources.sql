-- +goose Up

-- Where hosts, people and groups come from.
CREATE TABLE source (
    name        TEXT    PRIMARY KEY,
    rank        INTEGER NOT NULL DEFAULT 0,     -- of two that have an entry, the one of the lower rank decides on it
    settle      BOOLEAN NOT NULL DEFAULT FALSE, -- the rank has changed, and what that means has not been done
    settings    TEXT    NOT NULL DEFAULT '',    -- a hash of the configuration that mark is of
    mark        TEXT    NOT NULL DEFAULT '',    -- what it was read up to; '': it has to be read from the beginning
    tried_at    INTEGER,
    synced_at   INTEGER,                        -- it was read and what it said was done
    full_at     INTEGER,                        -- the same, from the beginning
    asked_at    INTEGER,                        -- somebody wants it to be read
    problem     TEXT    NOT NULL DEFAULT '',    -- why the last try failed
    skipped     TEXT    NOT NULL DEFAULT '[]',  -- JSON: entries that made no sense, the first of them
    skips       INTEGER NOT NULL DEFAULT 0,     -- how many there were
    hosts       INTEGER NOT NULL DEFAULT 0,     -- that it has, as of the last time
    people      INTEGER NOT NULL DEFAULT 0,
    groups      INTEGER NOT NULL DEFAULT 0,
    held        TEXT    NOT NULL DEFAULT '',    -- JSON: changes that wait for an operator
    held_hash   TEXT    NOT NULL DEFAULT '',    -- of what would be lost by them
    confirmed   TEXT    NOT NULL DEFAULT '',    -- that hash, when an operator has confirmed it
    holder      TEXT    NOT NULL DEFAULT '',    -- who reads it now
    held_until  INTEGER NOT NULL DEFAULT 0      -- for how long, at most, nobody else does
);

-- Of the transactions that decide on entries of several sources one runs at a time.
CREATE TABLE source_turn (
    id INTEGER PRIMARY KEY
);
INSERT INTO source_turn (id) VALUES (1);

-- What each source said when it was read last. Of an entry that several have, one decides:
-- that is what is in host, party, member and host_party.
CREATE TABLE source_entry (
    source  TEXT NOT NULL,
    kind    TEXT NOT NULL, -- host, person or group
    key     TEXT NOT NULL, -- FQDN, login or name
    hash    BLOB NOT NULL, -- of content
    content TEXT NOT NULL, -- JSON
    PRIMARY KEY (source, kind, key)
) /* WITHOUT ROWID */;
CREATE INDEX source_entry_key ON source_entry (kind, key);

CREATE INDEX party_source ON party (source, id) WHERE source <> '';
