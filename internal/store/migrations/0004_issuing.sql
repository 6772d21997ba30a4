-- Which CA key signed a certificate, and the profile that an order asked for.
-- +goose Up

-- The subject key identifier of the CA, in hexadecimal; '' in rows from before.
ALTER TABLE certificate ADD COLUMN authority_key TEXT NOT NULL DEFAULT '';
-- The name in the configuration; '' where the issuer has no profiles.
ALTER TABLE acme_order ADD COLUMN profile TEXT NOT NULL DEFAULT '';
