package portal

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"vidimus/internal/directory"
	"vidimus/internal/identifier"
	"vidimus/internal/store"
)

func (p *Portal) acmeIDRoutes() {
	p.handle("GET /portal/acme-ids", person, p.acmeIDs)
	p.handle("GET /portal/acme-ids/new", changer, p.newACMEID)
	p.handle("POST /portal/acme-ids/new", changer, p.makeACMEID)
	p.handle("GET /portal/acme-ids/{fqdn}", person, p.acmeID)
	p.handle("GET /portal/acme-ids/{fqdn}/names", changer, p.namesForm)
	p.handle("POST /portal/acme-ids/{fqdn}/names", changer, p.changeNames)
	p.handle("GET /portal/acme-ids/{fqdn}/credentials", changer, p.credentialsForm)
	p.handle("POST /portal/acme-ids/{fqdn}/credentials", changer, p.makeCredentials)
	p.handle("GET /portal/acme-ids/{fqdn}/remove", changer, p.removeForm)
	p.handle("POST /portal/acme-ids/{fqdn}/remove", changer, p.removeACMEID)
}

// acmeIDList is what the page of ACME-IDs shows.
type acmeIDList struct {
	All         bool
	Query       string
	ACMEIDs     []listedACMEID
	Next, First string
}

type listedACMEID struct {
	store.ListedACMEID
	State state
}

// state is that of an ACME-ID; its text is acme-id.state.WORD.
type state string

const (
	stateInvalid    state = "invalid"
	stateSuspended  state = "suspended"
	stateRegistered state = "registered"
	stateWaiting    state = "waiting"
	stateEnded      state = "ended"
)

// Class is that of its badge.
func (s state) Class() string {
	return map[state]string{stateRegistered: "ok", stateWaiting: "warn", stateEnded: "warn", stateInvalid: "bad", stateSuspended: "bad"}[s]
}

func acmeIDState(invalid, suspended, registered, waiting bool) state {
	switch {
	case invalid:
		return stateInvalid
	case suspended:
		return stateSuspended
	case registered:
		return stateRegistered
	case waiting:
		return stateWaiting
	}
	return stateEnded
}

// acmeIDs lists the ACME-IDs of the visitor's hosts, or all. Queries: 1.
func (p *Portal) acmeIDs(r *request) error {
	query, after := strings.ToLower(strings.TrimSpace(r.FormValue("q"))), r.FormValue("after")
	sel := store.HostSelection{Person: r.visitor.Person.ID, Contains: query, After: after, Limit: perPage + 1}
	if r.visitor.Editor.SeesAll() {
		sel.Person = 0
	}
	list := acmeIDList{All: sel.Person == 0, Query: query}
	found, err := p.Store.ListACMEIDs(r.Context(), sel)
	if err != nil {
		return err
	}
	values := url.Values{}
	if query != "" {
		values.Set("q", query)
	}
	if after != "" {
		list.First = "/portal/acme-ids?" + values.Encode()
	}
	if len(found) > perPage {
		found = found[:perPage]
		values.Set("after", found[perPage-1].FQDN)
		list.Next = "/portal/acme-ids?" + values.Encode()
	}
	for _, a := range found {
		list.ACMEIDs = append(list.ACMEIDs, listedACMEID{a, acmeIDState(!a.Invalid.IsZero(), a.Suspended, a.Registered, a.Waiting)})
	}
	return r.show("acme-ids", list)
}

// shownNames is how many names of an ACME-ID its page lists at most; the form has all.
const shownNames = 500

// acmeIDView is what the page of an ACME-ID shows.
type acmeIDView struct {
	store.ACMEID
	State        state
	Suspended    string // why
	Waiting      bool   // credentials wait for somebody to register with them
	Accounts     []store.Account
	Refused      []directory.Refusal
	More         int // names that aren't listed
	Certificates []store.BriefCertificate
	History      []event
	MayEdit      bool
}

// acmeID shows one. Queries: 11, and one or two while a name is suspended.
func (p *Portal) acmeID(r *request) error {
	ctx := r.Context()
	a, err := p.visibleACMEID(r)
	if err != nil {
		return err
	}
	v := acmeIDView{ACMEID: a, Waiting: len(a.HMACKey) > 0}
	if v.Accounts, err = p.Store.AccountsOfACMEID(ctx, a.ID, 20); err != nil {
		return err
	}
	stopped, err := p.Store.SuspendedAmong(ctx, store.SuspendedACMEID, []string{a.FQDN})
	if err != nil {
		return err
	}
	for _, s := range stopped {
		v.Suspended = s.Reason
	}
	if a.Invalid.IsZero() {
		if v.Refused, err = p.Directory.NotGranted(ctx, a); err != nil {
			return err
		}
	}
	if v.MayEdit, err = p.Directory.MayEdit(ctx, r.visitor.Editor, a.FQDN); err != nil {
		return err
	}
	v.State = acmeIDState(!a.Invalid.IsZero(), v.Suspended != "", len(a.Accounts) > 0, v.Waiting)
	if len(v.Names) > shownNames {
		v.Names, v.More = v.Names[:shownNames], len(v.Names)-shownNames
	}
	if v.Certificates, err = p.Store.CertificatesOfACMEID(ctx, a.ID, 20); err != nil {
		return err
	}
	if v.History, err = p.history(r, a.FQDN); err != nil {
		return err
	}
	return r.show("acme-id", v)
}

// visibleACMEID is the one that the path names, which the visitor must be allowed to see.
func (p *Portal) visibleACMEID(r *request) (store.ACMEID, error) {
	fqdn := r.PathValue("fqdn")
	may, err := p.Directory.MaySee(r.Context(), r.visitor.Editor, fqdn)
	if err != nil || !may {
		return store.ACMEID{}, errors.Join(err, errNotFound)
	}
	return p.Store.ACMEID(r.Context(), fqdn)
}

// editableACMEID is the valid one that the path names, which the visitor must be allowed
// to change.
func (p *Portal) editableACMEID(r *request) (store.ACMEID, error) {
	fqdn := r.PathValue("fqdn")
	may, err := p.Directory.MayEdit(r.Context(), r.visitor.Editor, fqdn)
	if err != nil || !may {
		return store.ACMEID{}, errors.Join(err, errNotFound)
	}
	a, err := p.Store.ACMEID(r.Context(), fqdn)
	if err == nil && !a.Invalid.IsZero() {
		err = &problem{http.StatusConflict, "acme-id.is-invalid"}
	}
	return a, err
}

// namesInput is the form for the names of an ACME-ID, as it was sent.
type namesInput struct {
	New       bool
	FQDN      string
	Version   int64
	Names     string   // one on each line
	Picked    []string // of Choices
	Pattern   string
	Choices   []string // the visitor's hosts, when they are few
	Wrong     []directory.NameError
	WrongHost string   // what is wrong with FQDN
	WrongText string   // what is wrong with Names as a whole, or with Pattern
	Now       []string // the names that another has given it meanwhile
	Matched   int      // hosts that the pattern has added; -1 when none was asked for
}

const (
	// maxChoices is how many hosts a form offers to pick from.
	maxChoices = 300
	// maxNames is how many names an ACME-ID gets by a form.
	maxNames = 5000
)

// readNames reads the form.
func (p *Portal) readNames(r *request) namesInput {
	version, _ := strconv.ParseInt(r.PostFormValue("version"), 10, 64)
	return namesInput{FQDN: strings.ToLower(strings.TrimSpace(r.PostFormValue("host"))), Version: version, Names: r.PostFormValue("names"),
		Picked: r.PostForm["pick"], Pattern: strings.ToLower(strings.TrimSpace(r.PostFormValue("pattern"))), Matched: -1}
}

// list is all names of the form.
func (in *namesInput) list() []string {
	split := func(c rune) bool { return c == ',' || c == ';' || c == ' ' || c == '\t' || c == '\n' || c == '\r' }
	var all []string
	for _, n := range append(strings.FieldsFunc(in.Names, split), in.Picked...) {
		if id, err := identifier.ParseDNS(n); err == nil {
			n = id.Value
		}
		if !slices.Contains(all, n) {
			all = append(all, n)
		}
	}
	return all
}

// pickable fills in what there is to pick from. Queries: 1.
func (p *Portal) pickable(r *request, in *namesInput) error {
	sel := store.HostSelection{Person: r.visitor.Person.ID, Limit: maxChoices + 1}
	hosts, err := p.Store.ListHosts(r.Context(), sel)
	if err != nil || len(hosts) > maxChoices {
		return err
	}
	written := (&namesInput{Names: in.Names}).list()
	for _, h := range hosts {
		if in.New || !slices.Contains(written, h.FQDN) { // of a new one the list is for the host, too
			in.Choices = append(in.Choices, h.FQDN)
		}
	}
	return nil
}

// match adds the visitor's hosts that fit the pattern: * is for any characters. Queries: 1.
func (p *Portal) match(r *request, in *namesInput) error {
	in.Matched = 0
	parts := strings.Split(in.Pattern, "*")
	longest := slices.MaxFunc(parts, func(a, b string) int { return len(a) - len(b) })
	if longest == "" {
		in.WrongText = r.t("names.pattern-empty")
		return nil
	}
	sel := store.HostSelection{Person: r.visitor.Person.ID, Contains: longest, Limit: maxNames + 1}
	if r.visitor.Editor.ChangesAll() {
		sel.Person = 0
	}
	hosts, err := p.Store.ListHosts(r.Context(), sel)
	if err != nil {
		return err
	}
	all := in.list()
	for _, h := range hosts {
		if fits(h.FQDN, parts) {
			if in.Matched++; !slices.Contains(all, h.FQDN) {
				all = append(all, h.FQDN)
			}
		}
	}
	in.Names, in.Picked = strings.Join(all, "\n"), nil
	return nil
}

// fits tells whether text is the parts of a pattern with anything between them.
func fits(text string, parts []string) bool {
	first, last := parts[0], parts[len(parts)-1]
	if len(parts) == 1 {
		return text == first
	}
	if !strings.HasPrefix(text, first) || !strings.HasSuffix(text[len(first):], last) {
		return false
	}
	text = text[len(first) : len(text)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		_, rest, ok := strings.Cut(text, part)
		if !ok {
			return false
		}
		text = rest
	}
	return true
}

// again shows the form once more, with what is wrong.
func (p *Portal) again(r *request, status int, in namesInput) error {
	if err := p.pickable(r, &in); err != nil {
		return err
	}
	return r.showAs(status, "acme-id-names", in)
}

// newACMEID shows the form for one. Queries: 1.
func (p *Portal) newACMEID(r *request) error {
	host := r.FormValue("host")
	return p.again(r, http.StatusOK, namesInput{New: true, FQDN: host, Names: host, Matched: -1})
}

// makeACMEID makes one, and shows its credentials.
func (p *Portal) makeACMEID(r *request) error {
	ctx, in := r.Context(), p.readNames(r)
	in.New = true
	if r.PostFormValue("match") != "" {
		if err := p.match(r, &in); err != nil {
			return err
		}
		return p.again(r, http.StatusOK, in)
	}
	if in.FQDN == "" {
		in.WrongHost = r.t("names.host-empty")
		return p.again(r, http.StatusUnprocessableEntity, in)
	}
	if may, err := p.Directory.MayEdit(ctx, r.visitor.Editor, in.FQDN); err != nil {
		return err
	} else if !may {
		in.WrongHost = r.t("names.not-yours", in.FQDN)
		return p.again(r, http.StatusUnprocessableEntity, in)
	}
	if status := p.judgeNames(r, &in); status != 0 {
		return p.again(r, status, in)
	}
	a, c, err := p.Directory.AddACMEID(ctx, r.visitor.Editor, in.FQDN, in.list())
	if err == nil {
		return p.showCredentials(r, a, c, true)
	}
	if there, e := p.Store.ACMEID(ctx, in.FQDN); e == nil && there.Invalid.IsZero() {
		in.WrongHost = r.t("names.exists", in.FQDN)
	} else if _, e := p.Store.HostAlone(ctx, in.FQDN); errors.Is(e, store.ErrNotFound) {
		in.WrongHost = r.t("names.no-host", in.FQDN)
	} else if !isNames(err, &in) {
		return err
	}
	return p.again(r, http.StatusUnprocessableEntity, in)
}

// isNames notes in the form what is wrong with its names, if that is what err says.
func isNames(err error, in *namesInput) bool {
	var wrong directory.NamesError
	if !errors.As(err, &wrong) {
		return false
	}
	in.Wrong = wrong
	return true
}

// judgeNames finds what is wrong with the names as a whole; 0 for nothing.
func (p *Portal) judgeNames(r *request, in *namesInput) (status int) {
	switch n := len(in.list()); {
	case n == 0:
		in.WrongText = r.t("names.empty")
	case n > maxNames:
		in.WrongText = r.t("names.too-many", maxNames)
	default:
		return 0
	}
	return http.StatusUnprocessableEntity
}

// namesForm shows the form for the names of one. Queries: 6.
func (p *Portal) namesForm(r *request) error {
	a, err := p.editableACMEID(r)
	if err != nil {
		return err
	}
	return p.again(r, http.StatusOK, namesInput{FQDN: a.FQDN, Version: a.Version, Names: strings.Join(a.Names, "\n"), Matched: -1})
}

// changeNames gives an ACME-ID other names. Who comes second of two is shown what the
// first has done, and keeps what they have typed.
func (p *Portal) changeNames(r *request) error {
	in := p.readNames(r)
	a, err := p.editableACMEID(r)
	if err != nil {
		return err
	}
	in.FQDN = a.FQDN
	if r.PostFormValue("match") != "" {
		if err := p.match(r, &in); err != nil {
			return err
		}
		return p.again(r, http.StatusOK, in)
	}
	if status := p.judgeNames(r, &in); status != 0 {
		return p.again(r, status, in)
	}
	if in.Version != a.Version {
		in.Version, in.Now = a.Version, a.Names
		return p.again(r, http.StatusConflict, in)
	}
	wanted := in.list()
	without := func(all, some []string) []string {
		return slices.DeleteFunc(slices.Clone(all), func(n string) bool { return slices.Contains(some, n) })
	}
	add, remove := without(wanted, a.Names), without(a.Names, wanted)
	if len(add)+len(remove) == 0 {
		return r.done("/portal/acme-ids/"+url.PathEscape(a.FQDN), "names.same")
	}
	_, err = p.Directory.ChangeNames(r.Context(), r.visitor.Editor, a.FQDN, in.Version, add, remove)
	switch {
	case errors.Is(err, directory.ErrChanged):
		return p.changedMeanwhile(r, in)
	case isNames(err, &in):
		return p.again(r, http.StatusUnprocessableEntity, in)
	case err != nil:
		return err
	}
	return r.done("/portal/acme-ids/"+url.PathEscape(a.FQDN), "names.changed", len(add), len(remove))
}

// changedMeanwhile shows who comes second what there is now.
func (p *Portal) changedMeanwhile(r *request, in namesInput) error {
	a, err := p.editableACMEID(r)
	if err != nil {
		return err
	}
	in.Version, in.Now = a.Version, a.Names
	return p.again(r, http.StatusConflict, in)
}

// credentialsForm asks what becomes of the account that is bound. Queries: 4.
func (p *Portal) credentialsForm(r *request) error {
	a, err := p.editableACMEID(r)
	if err != nil {
		return err
	}
	return r.show("acme-id-credentials", a)
}

// makeCredentials makes new ones and shows them. The version keeps a page that is loaded
// again from making others.
func (p *Portal) makeCredentials(r *request) error {
	a, err := p.editableACMEID(r)
	if err != nil {
		return err
	}
	if r.PostFormValue("version") != strconv.FormatInt(a.Version, 10) {
		return &problem{http.StatusConflict, "credentials.again"}
	}
	bound, ok := map[string]store.BoundAccounts{"later": store.ReplaceAccounts, "now": store.StopAccounts, "never": store.KeepAccounts}[r.PostFormValue("stop")]
	if !ok && len(a.Accounts) > 0 {
		return &problem{http.StatusUnprocessableEntity, "credentials.choose"}
	}
	a, c, err := p.Directory.NewCredentials(r.Context(), r.visitor.Editor, a.FQDN, bound)
	if err != nil {
		return err
	}
	return p.showCredentials(r, a, c, false)
}

// credentialsView is what is shown of credentials, once.
type credentialsView struct {
	store.ACMEID
	New         bool // the ACME-ID is
	KID, HMAC   string
	Directories []directoryCommands
}

type directoryCommands struct {
	ACMEDirectory
	Tools []shownTool
}

func (p *Portal) showCredentials(r *request, a store.ACMEID, c store.Credentials, isNew bool) error {
	v := credentialsView{ACMEID: a, New: isNew, KID: c.KID, HMAC: base64.RawURLEncoding.EncodeToString(c.HMACKey)}
	for _, d := range p.Directories {
		if d.Staging { // registering there uses up nothing, and is found on the front page
			continue
		}
		v.Directories = append(v.Directories, directoryCommands{d, toolsFor(d, v.KID, v.HMAC, r.visitor.Person.Email, a.FQDN, a.Names)})
	}
	return r.show("credentials", v)
}

// removeForm asks once more. Queries: 4.
func (p *Portal) removeForm(r *request) error {
	a, err := p.editableACMEID(r)
	if err != nil {
		return err
	}
	return r.show("acme-id-remove", a)
}

func (p *Portal) removeACMEID(r *request) error {
	a, err := p.editableACMEID(r)
	if err != nil {
		return err
	}
	if err := p.Directory.RemoveACMEID(context.WithoutCancel(r.Context()), r.visitor.Editor, a.FQDN); err != nil {
		return err
	}
	return r.done("/portal/acme-ids", "acme-id.removed", a.FQDN)
}
