-- The clean-up of stale records. River's own tables come by its own migrations.
-- +goose Up

-- How far each kind of record has been looked through, in the order of the ids: what
-- is at or below it has been removed, or is kept for ever. So no index of what is stale
-- has to be kept while orders are placed.
CREATE TABLE cleaned (
    what    TEXT    PRIMARY KEY, -- 'order' or 'authz'
    through INTEGER NOT NULL
);
INSERT INTO cleaned (what, through) VALUES ('order', 0), ('authz', 0);

-- An order that is removed takes its rows here with it: it knows them, whereas a
-- reference would have to be looked for in all.
ALTER TABLE order_authz RENAME TO order_authz_before;
CREATE TABLE order_authz (
    authz_id INTEGER NOT NULL REFERENCES authz (id),
    order_id INTEGER NOT NULL,
    PRIMARY KEY (authz_id, order_id)
) /* WITHOUT ROWID */;
INSERT INTO order_authz (authz_id, order_id) SELECT authz_id, order_id FROM order_authz_before;
DROP TABLE order_authz_before;
CREATE INDEX certificate_replaced ON certificate (replaced_by) WHERE replaced_by IS NOT NULL;

-- Windows of a call that has ended and are removed; of them, certificates replaced.
ALTER TABLE renewal_call ADD COLUMN removed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE renewal_call ADD COLUMN removed_replaced INTEGER NOT NULL DEFAULT 0;
