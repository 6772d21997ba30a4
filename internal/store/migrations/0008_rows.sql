-- Fewer rows for each order, and shorter ways to them.
-- +goose Up

-- The challenges are a part of their authorization: a JSON list. A challenge is known by
-- the authorization's id * 16 + its place in the list, so their URLs change here; an
-- order that waits for one at this moment has to be placed again. started_at is that of
-- the last validation that was begun, NULL while none is asked for.
ALTER TABLE authz ADD COLUMN challenges TEXT NOT NULL DEFAULT '[]';
ALTER TABLE authz ADD COLUMN started_at INTEGER NOT NULL DEFAULT 0;
UPDATE authz SET challenges = (SELECT '[' || string_agg('{"type":"' || c.type || '","token":"' || c.token || '","status":"' || c.status || '"'
        || CASE WHEN c.validated_at IS NULL THEN '' ELSE ',"validated":' || c.validated_at END
        || CASE WHEN c.error IS NULL THEN '' ELSE ',"error":' || c.error END
        || CASE WHEN c.record IS NULL THEN '' ELSE ',"record":' || c.record END || '}', ',' ORDER BY c.id) || ']'
    FROM challenge c WHERE c.authz_id = authz.id),
    started_at = (SELECT COALESCE(MAX(CASE WHEN c.started_at > 0 THEN c.started_at ELSE 1 END), 0) FROM challenge c
        WHERE c.authz_id = authz.id AND c.status = 'processing')
    WHERE EXISTS (SELECT 1 FROM challenge c WHERE c.authz_id = authz.id);
DROP TABLE challenge;
CREATE INDEX authz_started ON authz (id) WHERE started_at > 0;

-- An order lists its authorizations itself: JSON, one for each identifier. order_authz
-- leads from an authorization to its orders.
ALTER TABLE acme_order ADD COLUMN authzs TEXT NOT NULL DEFAULT '[]';
UPDATE acme_order SET authzs = (SELECT '[' || string_agg('' || a.authz_id, ',' ORDER BY a.position) || ']'
        FROM order_authz a WHERE a.order_id = acme_order.id)
    WHERE EXISTS (SELECT 1 FROM order_authz a WHERE a.order_id = acme_order.id);
ALTER TABLE order_authz RENAME TO order_authz_before;
DROP INDEX order_authz_authz;
CREATE TABLE order_authz (
    authz_id INTEGER NOT NULL REFERENCES authz (id),
    order_id INTEGER NOT NULL REFERENCES acme_order (id),
    PRIMARY KEY (authz_id, order_id)
) /* WITHOUT ROWID */;
INSERT INTO order_authz (authz_id, order_id) SELECT DISTINCT authz_id, order_id FROM order_authz_before;
DROP TABLE order_authz_before;

ALTER TABLE certificate_name RENAME TO certificate_name_before;
CREATE TABLE certificate_name (
    value  TEXT NOT NULL, -- an identifier's value
    serial TEXT NOT NULL REFERENCES certificate (serial),
    PRIMARY KEY (value, serial)
) /* WITHOUT ROWID */;
INSERT INTO certificate_name (value, serial) SELECT value, serial FROM certificate_name_before;
DROP TABLE certificate_name_before;
