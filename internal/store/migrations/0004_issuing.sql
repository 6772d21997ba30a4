-- Which CA key signed a certificate, the profile that an order asked for, and accounts
-- for trying things.
-- +goose Up

-- The subject key identifier of the CA, in hexadecimal; '' in rows from before.
ALTER TABLE certificate ADD COLUMN authority_key TEXT NOT NULL DEFAULT '';
-- The name in the configuration; '' where the issuer has no profiles.
ALTER TABLE acme_order ADD COLUMN profile TEXT NOT NULL DEFAULT '';
-- An account of a staging directory may be bound to an ACME-ID beside the real one.
ALTER TABLE account ADD COLUMN staging BOOLEAN NOT NULL DEFAULT FALSE;
