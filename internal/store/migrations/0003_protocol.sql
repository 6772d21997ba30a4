-- +goose Up

-- The external account binding as the client sent it (RFC 8555 §7.3.4), and the URL
-- of the terms of service that were agreed to at agreed_at (§7.3.3).
ALTER TABLE account ADD COLUMN binding TEXT;
ALTER TABLE account ADD COLUMN agreed_to TEXT;

-- What the client asked for (§7.4).
ALTER TABLE acme_order ADD COLUMN not_before INTEGER;
ALTER TABLE acme_order ADD COLUMN not_after INTEGER;

-- subdomains: names below the identifier's are authorized too (RFC 9444). reusable:
-- further orders of the account may take the authorization up; it was made before any
-- order and is pending (§7.4.1), or control was proved. Few are, whatever the number of
-- pending orders.
ALTER TABLE authz ADD COLUMN subdomains BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE authz ADD COLUMN reusable BOOLEAN NOT NULL DEFAULT FALSE;
CREATE INDEX authz_reusable ON authz (account_id, value, expires_at) WHERE reusable;

-- An account's orders, newest first, are one range of this.
DROP INDEX acme_order_account;
CREATE INDEX acme_order_account ON acme_order (account_id, id);

-- What an operator said; '' when a certificate was revoked as compromised.
ALTER TABLE blocked_key ADD COLUMN why TEXT NOT NULL DEFAULT '';
