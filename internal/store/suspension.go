package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"time"

	"vidimus/internal/audit"
)

// SuspensionKind says what is suspended.
type SuspensionKind string

// The kinds, and what their objects are.
const (
	SuspendedAccount SuspensionKind = "account" // its number
	SuspendedACMEID  SuspensionKind = "acme-id" // its FQDN
	SuspendedName    SuspensionKind = "name"    // an identifier's value
	SuspendedSubtree SuspensionKind = "subtree" // a DNS name, with all below it
)

// Suspension is what an operator has stopped.
type Suspension struct {
	Kind   SuspensionKind  `json:"kind"`
	Object string          `json:"object"`
	Reason string          `json:"reason"` // which clients and people are told
	Actor  json.RawMessage `json:"actor"`  // an [audit.Actor]
	Since  time.Time       `json:"since"`
}

// Suspend stops something; [ErrConflict] when it is suspended already. Its Actor is that
// of ctx.
func (s *Store) Suspend(ctx context.Context, x Suspension) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := changeOne(ctx, tx, `INSERT INTO suspension (kind, object, reason, actor, since) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (kind, object) DO NOTHING`, string(x.Kind), x.Object, x.Reason, toJSON(audit.Of(ctx)), millis(x.Since)); err != nil {
			return err
		}
		return record(ctx, tx, audit.Event{Action: audit.Suspended, Object: x.Object, Detail: audit.Detail{"kind": x.Kind, "reason": x.Reason}})
	})
}

// Resume ends a suspension; [ErrNotFound] when there is none.
func (s *Store) Resume(ctx context.Context, kind SuspensionKind, object string) error {
	return s.update(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := changeOne(ctx, tx, `DELETE FROM suspension WHERE kind = $1 AND object = $2`, string(kind), object); err != nil {
			return missing(err)
		}
		return record(ctx, tx, audit.Event{Action: audit.Resumed, Object: object, Detail: audit.Detail{"kind": kind}})
	})
}

func scanSuspension(row scanner) (x Suspension, err error) {
	var actor string
	err = row.Scan(&x.Kind, &x.Object, &x.Reason, &actor, timeColumn{&x.Since})
	x.Actor = json.RawMessage(actor)
	return x, err
}

const suspensions = `SELECT kind, object, reason, actor, since FROM suspension`

// Suspensions lists all of the kinds given, by kind and object; of all kinds when none is.
func (s *Store) Suspensions(ctx context.Context, kinds ...SuspensionKind) (all []Suspension, err error) {
	if len(kinds) == 0 {
		kinds = []SuspensionKind{SuspendedAccount, SuspendedACMEID, SuspendedName, SuspendedSubtree}
	}
	for _, k := range kinds {
		some, err := collect(ctx, s.read, scanSuspension, suspensions+` WHERE kind = $1 ORDER BY object`, string(k))
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// SuspendedAmong finds the suspensions of one kind among objects.
func (s *Store) SuspendedAmong(ctx context.Context, kind SuspensionKind, objects []string) (all []Suspension, err error) {
	for chunk := range slices.Chunk(objects, 128) {
		list, args := listed([]any{string(kind)}, chunk)
		some, err := collect(ctx, s.read, scanSuspension, suspensions+` WHERE kind = $1 AND object IN (`+list+`)`, args...)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}
