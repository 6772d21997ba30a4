-- +goose Up
-- What a validation met with: JSON, for whoever asks later how a name was proved.
ALTER TABLE challenge ADD COLUMN record TEXT;
