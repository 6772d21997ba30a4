-- +goose Up

-- A shard is the scope of one CRL: some of the certificates that one CA certificate
-- signs. path is what follows /crl/ in its URL. A certificate gets its shard before it
-- is signed; processes take places in one by the block, so taken counts also what was
-- never used. changes grows with each revocation, in its transaction, and seen is its
-- value when der was signed. due_at is when to sign next, NULL for never.
CREATE TABLE crl_shard (
    id          INTEGER PRIMARY KEY,
    issuer      TEXT    NOT NULL,
    ca          TEXT    NOT NULL, -- subject key identifier of the CA certificate, hexadecimal; '' until adopted
    path        TEXT    NOT NULL UNIQUE,
    base        TEXT    NOT NULL, -- URL that path follows, in the certificates; '' when they name none
    taken       INTEGER NOT NULL,
    taken_at    INTEGER NOT NULL,
    changes     INTEGER NOT NULL DEFAULT 0,
    seen        INTEGER NOT NULL DEFAULT 0,
    number      INTEGER NOT NULL DEFAULT 0, -- of the CRL in der
    der         BLOB,
    this_update INTEGER,
    next_update INTEGER,
    due_at      INTEGER
);
CREATE INDEX crl_shard_issuer ON crl_shard (issuer, ca);
CREATE INDEX crl_shard_due ON crl_shard (ca, due_at);

-- What was issued before there were shards is in one for each issuer.
INSERT INTO crl_shard (issuer, ca, path, base, taken, taken_at, changes, number, due_at)
    SELECT c.issuer, c.authority_key, CASE c.authority_key WHEN '' THEN c.issuer ELSE c.issuer || '/' || c.authority_key END, '',
        COUNT(*), MAX(c.created_at), 1, COALESCE(MAX(l.number), 0), 0
    FROM certificate c LEFT JOIN crl l ON l.issuer = c.issuer GROUP BY c.issuer, c.authority_key;
DROP TABLE crl;
ALTER TABLE certificate ADD COLUMN shard_id INTEGER REFERENCES crl_shard (id); -- NULL: in no CRL
UPDATE certificate SET shard_id = (SELECT s.id FROM crl_shard s WHERE s.issuer = certificate.issuer AND s.ca = certificate.authority_key);
CREATE INDEX certificate_shard ON certificate (shard_id, not_after);

ALTER TABLE revocation ADD COLUMN shard_id INTEGER REFERENCES crl_shard (id);
UPDATE revocation SET shard_id = (SELECT c.shard_id FROM certificate c WHERE c.serial = revocation.serial);
DROP INDEX revocation_issuer;
CREATE INDEX revocation_shard ON revocation (shard_id, id);

-- Operators select certificates, in the order of their serial numbers.
DROP INDEX certificate_account;
CREATE INDEX certificate_account ON certificate (account_id, serial);
CREATE INDEX certificate_spki ON certificate (spki, serial);

-- Certificates that an operator wants to be renewed in a certain window (RFC 9773).
CREATE TABLE renewal_call (
    id              INTEGER PRIMARY KEY,
    selection       TEXT    NOT NULL, -- as the operator wrote it
    explanation_url TEXT    NOT NULL,
    created_at      INTEGER NOT NULL,
    until           INTEGER, -- the windows hold until then; NULL: as long as the certificates
    undone_at       INTEGER
);
CREATE TABLE renewal_window (
    serial   TEXT    NOT NULL REFERENCES certificate (serial),
    call_id  INTEGER NOT NULL REFERENCES renewal_call (id),
    start_at INTEGER NOT NULL,
    end_at   INTEGER NOT NULL,
    PRIMARY KEY (serial, call_id)
);
CREATE INDEX renewal_window_call ON renewal_window (call_id);
