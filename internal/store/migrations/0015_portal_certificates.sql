-- +goose Up

-- A form by which a person asks for a certificate without ACME is good for one, however
-- often it is sent.
CREATE TABLE certificate_form (
    form   BLOB PRIMARY KEY, -- SHA-256 of the person's login and of what is in the form
    serial TEXT NOT NULL UNIQUE REFERENCES certificate (serial)
);

-- People look for what expires, or has, at an issuer.
CREATE INDEX certificate_expiry ON certificate (issuer, not_after, serial);
