-- +goose Up

-- Who may be responsible for a host: one person, or a group. A person has a party of
-- the same number, whose one member they are, so that there is one way from a host to
-- the people responsible for it: host_party, member.
CREATE TABLE party (
    id     INTEGER PRIMARY KEY,
    kind   TEXT NOT NULL, -- person or group
    name   TEXT NOT NULL, -- the person's login, or the group's name
    title  TEXT NOT NULL DEFAULT '', -- of a group, for people to read
    source TEXT NOT NULL DEFAULT '', -- of the host database that told of it; '': entered by hand
    UNIQUE (kind, name)
);
INSERT INTO party (id, kind, name) SELECT id, 'person', login FROM person;
-- only PostgreSQL
SELECT setval(pg_get_serial_sequence('party', 'id'), greatest(1, (SELECT max(id) FROM party)));
-- end only

ALTER TABLE person ADD role TEXT NOT NULL DEFAULT '';     -- auditor, operator, administrator or ''
ALTER TABLE person ADD language TEXT NOT NULL DEFAULT ''; -- for the portal's pages; '': what the browser asks for

CREATE TABLE member (
    party_id  INTEGER NOT NULL REFERENCES party (id) ON DELETE CASCADE,
    person_id INTEGER NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    PRIMARY KEY (party_id, person_id)
);
CREATE INDEX member_person ON member (person_id, party_id);
INSERT INTO member (party_id, person_id) SELECT id, id FROM person;

-- team: nobody else is responsible, so the CA team is. Not so for a host that has lost
-- everybody who was: its names are certified to nobody until somebody takes over.
ALTER TABLE host ADD team BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE host ADD source TEXT NOT NULL DEFAULT '';    -- that decides on it; '': entered by hand
ALTER TABLE host ADD details TEXT NOT NULL DEFAULT '{}'; -- JSON: the organisation's data, by its own names
CREATE TABLE host_party (
    fqdn     TEXT    NOT NULL REFERENCES host (fqdn) ON DELETE CASCADE,
    party_id INTEGER NOT NULL REFERENCES party (id) ON DELETE CASCADE,
    PRIMARY KEY (fqdn, party_id)
);
CREATE INDEX host_party_party ON host_party (party_id, fqdn);
INSERT INTO host_party (fqdn, party_id) SELECT fqdn, person_id FROM host_person;
UPDATE host SET team = TRUE WHERE NOT EXISTS (SELECT 1 FROM host_person p WHERE p.fqdn = host.fqdn);
DROP TABLE host_person;

-- The names of an ACME-ID: FQDNs of hosts, and wildcards above them ("*.example.org" of
-- the host example.org).
CREATE TABLE acme_id_names (
    acme_id INTEGER NOT NULL REFERENCES acme_id (id) ON DELETE CASCADE,
    name    TEXT    NOT NULL,
    fqdn    TEXT    NOT NULL REFERENCES host (fqdn) ON DELETE CASCADE, -- name without "*."
    PRIMARY KEY (acme_id, name)
);
INSERT INTO acme_id_names (acme_id, name, fqdn) SELECT acme_id, fqdn, fqdn FROM acme_id_name;
DROP TABLE acme_id_name;
ALTER TABLE acme_id_names RENAME TO acme_id_name;
CREATE INDEX acme_id_name_fqdn ON acme_id_name (fqdn);

-- version counts the changes that people make to an ACME-ID, so that of two who edit it
-- at once the second is told.
ALTER TABLE acme_id ADD version INTEGER NOT NULL DEFAULT 1;
ALTER TABLE acme_id ADD invalid_why TEXT NOT NULL DEFAULT '';

-- How an account was registered, and by which client each certificate was asked for.
ALTER TABLE account ADD user_agent TEXT NOT NULL DEFAULT '';
ALTER TABLE account ADD address TEXT NOT NULL DEFAULT '';
CREATE TABLE client (
    id         INTEGER PRIMARY KEY,
    user_agent TEXT NOT NULL UNIQUE
);
ALTER TABLE certificate ADD client_id INTEGER REFERENCES client (id);
-- A certificate without ACME: the person who asked for it.
ALTER TABLE certificate ADD person TEXT; -- login

-- Below these names wildcards may be had.
CREATE TABLE wildcard_subtree (
    fqdn       TEXT    PRIMARY KEY,
    created_at INTEGER NOT NULL
);

-- What an operator has stopped: kind is account (its number), acme-id (its FQDN), name
-- (an identifier) or subtree (a DNS name, with all below it).
CREATE TABLE suspension (
    kind   TEXT    NOT NULL,
    object TEXT    NOT NULL,
    reason TEXT    NOT NULL, -- which clients and people are told
    actor  TEXT    NOT NULL, -- JSON
    since  INTEGER NOT NULL,
    PRIMARY KEY (kind, object)
);

-- What was done to one thing, but for what each issuance writes: it is on record with the
-- certificate, and an index of it would cost each.
CREATE INDEX audit_object ON audit (object, id)
    WHERE action NOT IN ('authorization.validated', 'certificate.intended', 'certificate.issued');
