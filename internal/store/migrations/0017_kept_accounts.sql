-- +goose Up
-- The accounts that are bound stay when another registers with the last credentials.
ALTER TABLE acme_id ADD keep BOOLEAN NOT NULL DEFAULT FALSE;
