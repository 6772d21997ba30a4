-- +goose Up

-- The external account binding as the client sent it (RFC 8555 §7.3.4), and the URL
-- of the terms of service that were agreed to at agreed_at (§7.3.3).
ALTER TABLE account ADD COLUMN binding TEXT;
ALTER TABLE account ADD COLUMN agreed_to TEXT;
