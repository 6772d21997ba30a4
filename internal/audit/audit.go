// Package audit says what an event of the audit log is, who was behind it, and how
// events are chained by their hashes. Package store keeps them, each written in the
// transaction of the change that it tells of.
package audit

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Actor is who did something: a client with its account, or an operator. The zero
// value is the server itself.
type Actor struct {
	Account  int64  `json:"account,omitempty"`
	ACMEID   string `json:"acme_id,omitempty"`  // FQDN of the ACME-ID that the account is bound to
	Address  string `json:"address,omitempty"`  // where the request came from
	Request  string `json:"request,omitempty"`  // its ID, as the log and the client have it
	Person   string `json:"person,omitempty"`   // login, in the portal
	Operator string `json:"operator,omitempty"` // user of the operating system who ran vidimusd
	Source   string `json:"source,omitempty"`   // of the host database, which said so
}

type actorKey struct{}

// With is ctx for what a does.
func With(ctx context.Context, a Actor) context.Context { return context.WithValue(ctx, actorKey{}, a) }

// Of tells who does what is done with ctx.
func Of(ctx context.Context) Actor {
	a, _ := ctx.Value(actorKey{}).(Actor)
	return a
}

// Action is what was done.
type Action string

// The actions. An object is named by what people know it by: an account by its number,
// an ACME-ID or host by its FQDN, a certificate by its serial number.
const (
	AccountCreated     Action = "account.created"
	AccountChanged     Action = "account.changed" // contacts; they are not in the log
	AccountAgreed      Action = "account.agreed"  // to terms of service
	AccountKeyChanged  Action = "account.key-changed"
	AccountDeactivated Action = "account.deactivated"
	AccountRevoked     Action = "account.revoked" // other credentials of its ACME-ID took its place, or an operator ended it

	CredentialsMade Action = "credentials.made" // EAB credentials; object: the ACME-ID
	CredentialsUsed Action = "credentials.used"

	ACMEIDCreated Action = "acme-id.created"
	ACMEIDNames   Action = "acme-id.names-changed"
	ACMEIDRemoved Action = "acme-id.removed"
	HostCreated   Action = "host.created"
	HostRemoved   Action = "host.removed"
	HostPeople    Action = "host.people-changed"  // also groups
	HostDetails   Action = "host.details-changed" // or another source decides on it now
	PersonCreated Action = "person.created"
	PersonChanged Action = "person.changed" // name or address; they are not in the log
	PersonRemoved Action = "person.removed"
	PersonRole    Action = "person.role-changed"
	GroupCreated  Action = "group.created"
	GroupChanged  Action = "group.members-changed"
	GroupRemoved  Action = "group.removed"

	LoggedIn        Action = "login.done" // object: the person's login
	LoginFailed     Action = "login.failed"
	LoggedOut       Action = "login.ended" // one session
	SessionsEnded   Action = "login.all-ended"
	PasswordChanged Action = "password.changed"
	PasswordRemoved Action = "password.removed"
	TOTPEnrolled    Action = "totp.enrolled"
	TOTPRemoved     Action = "totp.removed"
	RecoveryUsed    Action = "totp.recovery-code-used"

	Suspended         Action = "suspension.begun" // object: what was suspended
	Resumed           Action = "suspension.ended"
	WildcardsAllowed  Action = "wildcards.allowed" // object: the subtree
	WildcardsWithheld Action = "wildcards.withheld"

	SourceSynced    Action = "source.synced"    // object: the source
	SourceHeld      Action = "source.held-back" // too much would be lost
	SourceConfirmed Action = "source.confirmed" // by an operator

	Validated        Action = "authorization.validated" // object: the name; result: valid or invalid
	AuthzDeactivated Action = "authorization.deactivated"

	CertificateIntended Action = "certificate.intended" // about to be signed
	CertificateIssued   Action = "certificate.issued"
	CertificateRevoked  Action = "certificate.revoked"
	KeyBlocked          Action = "key.blocked" // object: SHA-256 of the subject public key info
	KeyUnblocked        Action = "key.unblocked"

	RenewalCalled Action = "renewal.called" // by an operator; object: its number
	RenewalUndone Action = "renewal.undone"

	ServerStarted Action = "server.started"
	BackedUp      Action = "server.backed-up" // object: where to
	Restored      Action = "server.restored"  // from a backup
)

// AboutPermission tells whether the action may change what an account may do.
func (a Action) AboutPermission() bool {
	kind, _, _ := strings.Cut(string(a), ".")
	switch kind {
	case "account", "credentials", "acme-id", "host", "person", "group", "suspension", "wildcards", "server":
		return true
	}
	return false
}

// Event is something that was done.
type Event struct {
	Action Action
	Object string
	Result string // "" means "done"
	Detail Detail
}

// Detail is what else there is to know, and why.
type Detail map[string]any

// Row is an event as it is on record.
type Row struct {
	Position int64           `json:"position"` // in the chain, from 1 on; 0: not sealed yet
	Hash     string          `json:"hash"`     // hexadecimal; "" when not sealed yet
	ID       int64           `json:"id"`
	At       time.Time       `json:"at"`    // whole milliseconds
	Actor    json.RawMessage `json:"actor"` // an [Actor]
	Action   Action          `json:"action"`
	Object   string          `json:"object"`
	Result   string          `json:"result"`
	Detail   json.RawMessage `json:"detail"` // a [Detail]
}

// Start is the hash that the first row is chained to.
const Start = "0000000000000000000000000000000000000000000000000000000000000000"

// Sum is the hash of the row at its position, behind a row whose hash is previous:
// SHA-256 over a version, the previous hash, and each column with its length, so that
// no two rows have the same encoding.
func (r *Row) Sum(previous string) string {
	h := sha256.New()
	number := func(n int64) { h.Write(binary.BigEndian.AppendUint64(nil, uint64(n))) }
	text := func(s string) { number(int64(len(s))); h.Write([]byte(s)) }
	text("vidimus audit 1")
	text(previous)
	number(r.Position)
	number(r.ID)
	number(r.At.UnixMilli())
	for _, s := range []string{string(r.Actor), string(r.Action), r.Object, r.Result, string(r.Detail)} {
		text(s)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Name is who an [Actor] on record is, for people to read.
func Name(actor json.RawMessage) string {
	var a Actor
	if err := json.Unmarshal(actor, &a); err != nil {
		return string(actor)
	}
	switch {
	case a.Source != "":
		return "source " + a.Source
	case a.Person != "":
		return a.Person
	case a.Operator != "":
		return a.Operator + " (command line)"
	case a.ACMEID != "":
		return "ACME-ID " + a.ACMEID
	case a.Account != 0:
		return fmt.Sprintf("account %d", a.Account)
	}
	return "vidimusd"
}
