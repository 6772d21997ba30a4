package server

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"vidimus/integration/peer"
)

// event is a line of "vidimusd audit export".
type event struct {
	Actor struct {
		Account                    int64
		ACMEID                     string `json:"acme_id"`
		Address, Request, Operator string
	}
	Action, Object, Result string
	Detail                 struct {
		SHA256 string
		Names  []string
	}
}

// events are those that the audit log has, with the arguments given.
func events(t *testing.T, v *peer.Vidimusd, args ...string) (all []event) {
	t.Helper()
	out := peer.Must(t, exec.Command(peer.Build(t, "vidimusd"), append([]string{"audit", "export", "--config", v.Config}, args...)...))
	dec := json.NewDecoder(strings.NewReader(out))
	for dec.More() {
		var e event
		if err := dec.Decode(&e); err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// audited checks that the audit log is whole, and tells of each certificate that the
// loaders were given who asked for it, and that it is this one.
func audited(t *testing.T, v *peer.Vidimusd, loaders ...*loader) {
	t.Helper()
	peer.Must(t, exec.Command(peer.Build(t, "vidimusd"), "audit", "verify", "--config", v.Config)) // which seals the rest
	intended, issued := make(map[string]event), make(map[string]event)
	for _, e := range events(t, v, "--action", `certificate\..*`) {
		of := intended
		switch e.Action {
		case "certificate.issued":
			of = issued
		case "certificate.intended":
		default:
			continue
		}
		if _, twice := of[e.Object]; twice {
			t.Errorf("%s of %s is in the log twice", e.Action, e.Object)
		}
		of[e.Object] = e
	}
	for _, l := range loaders {
		l.mu.Lock()
		for serial, raw := range l.got {
			i := intended[serial]
			if i.Actor.ACMEID != l.name || i.Actor.Account == 0 || i.Actor.Address == "" || i.Actor.Request == "" ||
				len(i.Detail.Names) != 1 || i.Detail.Names[0] != l.name {
				t.Errorf("%s was given to %s, and the log has as its beginning %+v", serial, l.name, i)
			}
			sum := sha256.Sum256(raw)
			if issued[serial].Detail.SHA256 != hex.EncodeToString(sum[:]) {
				t.Errorf("%s was given to %s, and the log has as its end %+v", serial, l.name, issued[serial])
			}
		}
		l.mu.Unlock()
	}
}

// The log tells of what clients and operators do, and of each who it was.
func TestTheAuditLogTellsWhoDidWhat(t *testing.T) {
	v := peer.StartVidimusd(t)
	l := newLoader(t, v, "audit.uni.test")
	if err := l.obtain(t.Context()); err != nil {
		t.Fatal(err)
	}
	v.Admin(t, nil, "acme-id", "remove", l.name)
	audited(t, v, l)
	for _, tt := range []struct {
		action, object string
		is             func(e event) bool
	}{
		{"server.started", "https://.*", func(e event) bool { return e.Actor.Operator == "" && e.Actor.Account == 0 }},
		{"host.created", l.name, func(e event) bool { return e.Actor.Operator != "" }},
		{"credentials.made", l.name, func(e event) bool { return e.Actor.Operator != "" }},
		{"credentials.used", l.name, func(e event) bool { return e.Actor.Request != "" && e.Actor.Address != "" }},
		{"acme-id.removed", l.name, func(e event) bool { return e.Actor.Operator != "" }},
	} {
		all := events(t, v, "--action", tt.action, "--object", tt.object)
		if len(all) != 1 || !tt.is(all[0]) {
			t.Errorf("%s of %s: %+v", tt.action, tt.object, all)
		}
	}
	if all := events(t, v, "--acme-id", l.name); len(all) == 0 {
		t.Error("nothing was done by the ACME-ID")
	}
}
