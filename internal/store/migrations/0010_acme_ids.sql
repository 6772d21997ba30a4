-- +goose Up
-- ACME-IDs that are no longer good are looked up by name too.
CREATE INDEX acme_id_all ON acme_id (fqdn);
