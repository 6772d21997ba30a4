-- +goose Up

-- People who are logged in to the portal. The cookie has a random token, of which only
-- the hash is here.
CREATE TABLE session (
    id         INTEGER PRIMARY KEY,
    token      BLOB    NOT NULL UNIQUE, -- SHA-256
    csrf       TEXT    NOT NULL,        -- which forms carry
    person_id  INTEGER NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    role       TEXT    NOT NULL,        -- by the groups that the log-in told of; the person's own counts too
    method     TEXT    NOT NULL,        -- the way of logging in, by its name in the configuration
    address    TEXT    NOT NULL,
    user_agent TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL,        -- to the minute
    ends_at    INTEGER NOT NULL,        -- unless it is used before
    until_at   INTEGER NOT NULL         -- however much it is used
);
CREATE INDEX session_person ON session (person_id, id);
CREATE INDEX session_ends ON session (ends_at);

-- Local passwords: argon2id, in PHC string format.
CREATE TABLE password (
    person_id  INTEGER NOT NULL PRIMARY KEY REFERENCES person (id) ON DELETE CASCADE,
    hash       TEXT    NOT NULL,
    changed_at INTEGER NOT NULL
);

-- One-time codes (RFC 6238) beside the password. The server has to know the secret.
CREATE TABLE totp (
    person_id    INTEGER NOT NULL PRIMARY KEY REFERENCES person (id) ON DELETE CASCADE,
    secret       BLOB    NOT NULL,
    confirmed_at INTEGER,                  -- when a first code was right; NULL: asks for nothing yet
    used         INTEGER NOT NULL DEFAULT 0 -- the step of the last code that was accepted; none before it is
);
CREATE TABLE recovery_code (
    person_id INTEGER NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    code      BLOB    NOT NULL, -- SHA-256 of its 80 random bits
    PRIMARY KEY (person_id, code)
);

-- A log-in that has begun, in one browser: the password was right and a code is to come,
-- or somebody was sent to an OpenID provider. Good once.
CREATE TABLE login_attempt (
    token   BLOB    NOT NULL PRIMARY KEY, -- SHA-256 of the browser's cookie
    data    TEXT    NOT NULL,             -- JSON
    ends_at INTEGER NOT NULL
);
CREATE INDEX login_attempt_ends ON login_attempt (ends_at);

-- How often logging in has failed of late, for a login and for an address.
CREATE TABLE login_failure (
    what     TEXT    NOT NULL PRIMARY KEY, -- a hash, as people type passwords where the login belongs
    failures INTEGER NOT NULL,
    at       INTEGER NOT NULL, -- of the last one
    next_at  INTEGER NOT NULL  -- before which no more is tried
);
CREATE INDEX login_failure_at ON login_failure (at);
