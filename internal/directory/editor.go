package directory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"vidimus/internal/identifier"
)

// Role is what somebody may do beyond what they are responsible for. The zero value is
// none.
type Role string

// The roles.
const (
	Auditor       Role = "auditor"       // sees all, changes nothing
	Operator      Role = "operator"      // does all for all
	Administrator Role = "administrator" // and gives roles
)

// Roles are all that there are, from least to most.
var Roles = []Role{"", Auditor, Operator, Administrator}

// ParseRole reads a role; "none" and "" are that of somebody without one.
func ParseRole(s string) (Role, error) {
	if r := Role(s); slices.Contains(Roles, r) {
		return r, nil
	}
	if s == "none" {
		return "", nil
	}
	return "", fmt.Errorf("there is no role %q; the roles are auditor, operator, administrator and none", s)
}

// Max is the role that may do more.
func Max(a, b Role) Role {
	if slices.Index(Roles, a) < slices.Index(Roles, b) {
		return b
	}
	return a
}

// Editor is who looks at, or changes, hosts and ACME-IDs.
type Editor struct {
	Person int64 // [store.Person.ID]; 0: nobody in particular, who is responsible for nothing
	Role   Role
}

// Team is the CA team at its command line.
var Team = Editor{Role: Administrator}

// SeesAll tells whether e may look at everything.
func (e Editor) SeesAll() bool { return e.Role != "" }

// ChangesAll tells whether e may change what others are responsible for.
func (e Editor) ChangesAll() bool { return e.Role == Operator || e.Role == Administrator }

// GivesRoles tells whether e may change the roles of people.
func (e Editor) GivesRoles() bool { return e.Role == Administrator }

// ErrNotYours says that there is no such thing, or none that the editor may see or change:
// which of the two is not for them to know.
var ErrNotYours = errors.New("it does not exist, or you are not responsible for it")

// ErrChanged says that somebody else changed it since the editor looked.
var ErrChanged = errors.New("somebody else has changed it meanwhile; look at what there is now, and try again")

// NameError says what is wrong with one of the names that were given.
type NameError struct {
	Name string // as it was given
	Err  error
}

func (e NameError) Error() string { return e.Err.Error() }

// NamesError is what is wrong with some of the names that were given; nothing was changed.
type NamesError []NameError

func (e NamesError) Error() string {
	all := make([]string, len(e))
	for i, n := range e {
		all[i] = n.Error()
	}
	return strings.Join(all, "; ")
}

// responsible tells for which of the hosts e is responsible, which is true of auditors for
// what they are responsible for themselves.
func (d *Directory) responsible(ctx context.Context, e Editor, fqdns []string) (func(fqdn string) bool, error) {
	if e.Person == 0 {
		return func(string) bool { return false }, nil
	}
	of, err := d.Store.Responsible(ctx, e.Person, fqdns)
	return func(fqdn string) bool { return slices.Contains(of, fqdn) }, err
}

// MaySee decides whether e may look at a host, or at an ACME-ID that bears this FQDN.
func (d *Directory) MaySee(ctx context.Context, e Editor, fqdn string) (bool, error) {
	if e.SeesAll() {
		return true, nil
	}
	is, err := d.responsible(ctx, e, []string{fqdn})
	return err == nil && is(fqdn), err
}

// MayEdit decides whether e may change the ACME-ID that bears this FQDN, or make one.
func (d *Directory) MayEdit(ctx context.Context, e Editor, fqdn string) (bool, error) {
	switch {
	case e.ChangesAll():
		return true, nil
	case e.Role == Auditor:
		return false, nil
	}
	is, err := d.responsible(ctx, e, []string{fqdn})
	return err == nil && is(fqdn), err
}

// MayHaveWithoutACME decides whether e may have a certificate for ids, at least one,
// without an ACME account.
func (d *Directory) MayHaveWithoutACME(ctx context.Context, e Editor, ids []identifier.Identifier) (Decision, error) {
	stopped, err := d.stopped(ctx, true, ids)
	if err != nil {
		return Decision{}, err
	}
	wildcards, err := d.wildcards(ctx, ids)
	if err != nil {
		return Decision{}, err
	}
	fqdns := make([]string, len(ids))
	for i, id := range ids {
		fqdns[i] = id.Base().Value
	}
	is, err := d.responsible(ctx, e, fqdns)
	if err != nil {
		return Decision{}, err
	}
	hosts, err := d.Store.HostsAmong(ctx, fqdns)
	if err != nil {
		return Decision{}, err
	}
	dec := Decision{Preauthorised: true}
	for i, id := range ids {
		refuse := func(unsupported bool, why string) { dec.Refused = append(dec.Refused, Refusal{id, unsupported, why}) }
		switch why := stopped(id); {
		case why != "":
			refuse(false, why)
		case id.Type != identifier.DNS:
			refuse(true, addressRefused(id))
		case e.Role == Auditor:
			refuse(false, "an auditor may look at all and change nothing")
		case e.ChangesAll() && !slices.Contains(hosts, fqdns[i]):
			refuse(false, fmt.Sprintf("%s is not in the host database", fqdns[i]))
		case !e.ChangesAll() && !is(fqdns[i]):
			refuse(false, fmt.Sprintf("you are not responsible for %s, or it is not in the host database", fqdns[i]))
		case id.Wildcard() && !wildcards(id):
			refuse(false, noWildcards(id))
		}
	}
	return dec, nil
}
