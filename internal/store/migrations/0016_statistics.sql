-- +goose Up

-- What the dashboard shows: numbers that take long to count, in one row, counted anew
-- by a job when something was done since.
CREATE TABLE statistics (
    id       INTEGER NOT NULL PRIMARY KEY, -- 1
    at       INTEGER NOT NULL,
    took     INTEGER NOT NULL, -- milliseconds
    position INTEGER NOT NULL, -- how far the audit log went
    content  TEXT    NOT NULL  -- JSON
);
