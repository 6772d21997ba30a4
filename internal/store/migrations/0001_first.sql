-- Times are Unix milliseconds, UTC. JSON columns hold what goes over the wire.
-- +goose Up

-- The host database: who is responsible for which FQDN.
CREATE TABLE person (
    id         INTEGER PRIMARY KEY,
    login      TEXT    NOT NULL UNIQUE,
    name       TEXT    NOT NULL,
    email      TEXT    NOT NULL,
    created_at INTEGER NOT NULL
);
CREATE TABLE host (
    fqdn       TEXT    PRIMARY KEY,
    created_at INTEGER NOT NULL
);
CREATE TABLE host_person (
    fqdn      TEXT    NOT NULL REFERENCES host (fqdn) ON DELETE CASCADE,
    person_id INTEGER NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    PRIMARY KEY (fqdn, person_id)
);
CREATE INDEX host_person_person ON host_person (person_id);

-- An ACME-ID outlives the host it is named for, as a record; it is good for nothing
-- once invalid_at is set. hmac_key is NULL once used; kid then stays for the log.
CREATE TABLE acme_id (
    id             INTEGER PRIMARY KEY,
    fqdn           TEXT    NOT NULL,
    created_at     INTEGER NOT NULL,
    invalid_at     INTEGER,
    kid            TEXT    UNIQUE,
    hmac_key       BLOB,
    credentials_at INTEGER
);
CREATE UNIQUE INDEX acme_id_fqdn ON acme_id (fqdn) WHERE invalid_at IS NULL;
CREATE TABLE acme_id_name (
    acme_id INTEGER NOT NULL REFERENCES acme_id (id) ON DELETE CASCADE,
    fqdn    TEXT    NOT NULL REFERENCES host (fqdn) ON DELETE CASCADE,
    PRIMARY KEY (acme_id, fqdn)
);
CREATE INDEX acme_id_name_fqdn ON acme_id_name (fqdn);

-- RFC 8555. directory is the name in the directory's URL; a key may have an account
-- in each.
CREATE TABLE account (
    id         INTEGER PRIMARY KEY,
    directory  TEXT    NOT NULL,
    thumbprint TEXT    NOT NULL,
    jwk        TEXT    NOT NULL,
    status     TEXT    NOT NULL,
    contact    TEXT    NOT NULL, -- JSON
    agreed_at  INTEGER,          -- to the terms of service
    acme_id    INTEGER REFERENCES acme_id (id) ON DELETE SET NULL,
    bound      BOOLEAN NOT NULL, -- made by an external account binding
    created_at INTEGER NOT NULL,
    UNIQUE (directory, thumbprint)
);
CREATE INDEX account_acme_id ON account (acme_id);

CREATE TABLE acme_order (
    id          INTEGER PRIMARY KEY,
    account_id  INTEGER NOT NULL REFERENCES account (id),
    status      TEXT    NOT NULL,
    identifiers TEXT    NOT NULL, -- JSON, sorted
    replaces    TEXT    NOT NULL, -- RFC 9773 certificate identifier, or ''
    error       TEXT,             -- JSON problem document
    serial      TEXT,             -- of the certificate, once processing
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL
);
CREATE INDEX acme_order_account ON acme_order (account_id);

CREATE TABLE authz (
    id         INTEGER PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES account (id),
    type       TEXT    NOT NULL,
    value      TEXT    NOT NULL, -- without the "*." of a wildcard
    wildcard   BOOLEAN NOT NULL,
    status     TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
);
CREATE TABLE order_authz (
    order_id INTEGER NOT NULL REFERENCES acme_order (id),
    position INTEGER NOT NULL,
    authz_id INTEGER NOT NULL REFERENCES authz (id),
    PRIMARY KEY (order_id, position)
);
CREATE INDEX order_authz_authz ON order_authz (authz_id);

CREATE TABLE challenge (
    id           INTEGER PRIMARY KEY,
    authz_id     INTEGER NOT NULL REFERENCES authz (id),
    type         TEXT    NOT NULL,
    token        TEXT    NOT NULL,
    status       TEXT    NOT NULL,
    validated_at INTEGER,
    error        TEXT -- JSON problem document
);
CREATE INDEX challenge_authz ON challenge (authz_id);
CREATE INDEX challenge_processing ON challenge (id) WHERE status = 'processing';

-- A row is written, with the exact bytes to be signed, before anything is signed;
-- der is NULL until the signature is recorded.
CREATE TABLE certificate (
    serial     TEXT    PRIMARY KEY, -- hexadecimal, lower case
    issuer     TEXT    NOT NULL,
    order_id   INTEGER UNIQUE REFERENCES acme_order (id),
    account_id INTEGER REFERENCES account (id),
    tbs        BLOB    NOT NULL,
    der        BLOB,
    spki       BLOB    NOT NULL, -- SHA-256 of the subject public key info
    not_before INTEGER NOT NULL,
    not_after  INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    issued_at  INTEGER,
    replaced_by INTEGER REFERENCES acme_order (id)
);
CREATE INDEX certificate_unfinished ON certificate (serial) WHERE der IS NULL;
CREATE INDEX certificate_account ON certificate (account_id);
CREATE TABLE certificate_name (
    value  TEXT NOT NULL, -- an identifier's value
    serial TEXT NOT NULL REFERENCES certificate (serial),
    PRIMARY KEY (value, serial)
);

-- In the order in which they were revoked, so that "anything new?" is one look.
CREATE TABLE revocation (
    id         INTEGER PRIMARY KEY,
    issuer     TEXT    NOT NULL,
    serial     TEXT    NOT NULL UNIQUE REFERENCES certificate (serial),
    reason     INTEGER NOT NULL,
    revoked_at INTEGER NOT NULL
);
CREATE INDEX revocation_issuer ON revocation (issuer, id);
-- Keys that no certificate is issued for, nor account made with.
CREATE TABLE blocked_key (
    spki       BLOB    PRIMARY KEY, -- SHA-256 of the subject public key info
    blocked_at INTEGER NOT NULL
);
CREATE TABLE crl (
    issuer TEXT    PRIMARY KEY,
    number INTEGER NOT NULL -- of the last CRL signed
);
