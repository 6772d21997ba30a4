package renewal

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ocsp"

	"vidimus/internal/account"
	"vidimus/internal/acme"
	"vidimus/internal/certificate"
	"vidimus/internal/hook"
	"vidimus/internal/issuance/acmetest"
	"vidimus/internal/lineage"
	"vidimus/internal/settings"
)

// machine is one with lineages from a CA, whose challenges are answered by webroot.
type machine struct {
	dir, root string
	ca        *acmetest.CA
	server    string
	set       *settings.Settings // of the run
	out, errs bytes.Buffer
}

func newMachine(t *testing.T, ca *acmetest.CA) *machine {
	t.Helper()
	s := httptest.NewServer(ca)
	t.Cleanup(s.Close)
	m := &machine{dir: t.TempDir(), root: t.TempDir(), ca: ca, server: s.URL + "/dir", set: settings.Default()}
	m.set.ConfigDir, m.set.WorkDir = m.dir, m.dir
	accounts, err := account.Open(m.dir, m.server)
	if err != nil {
		t.Fatal(err)
	}
	if err := accounts.Save(&account.Account{Key: newKey(t), URL: s.URL + "/me", Created: time.Now()}); err != nil {
		t.Fatal(err)
	}
	return m
}

// add makes a lineage, named for its only name, whose certificate lasts for left.
func (m *machine) add(t *testing.T, name string, left time.Duration, change ...func(*settings.Settings)) *lineage.Lineage {
	t.Helper()
	set := m.set.Clone()
	set.Server, set.Authenticator, set.WebrootPath = m.server, "webroot", []string{m.root}
	for _, f := range change {
		f(set)
	}
	l, err := lineage.Store{Dir: m.dir}.Create(name, m.material(t, name, left), set)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (m *machine) material(t *testing.T, name string, left time.Duration) lineage.Material {
	t.Helper()
	key := newKey(t)
	chain, err := m.ca.Issue(key.Public(), []string{name}, time.Now().Add(left-90*day), time.Now().Add(left))
	if err != nil {
		t.Fatal(err)
	}
	pem, err := certificate.MarshalKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return lineage.Material{Cert: certificate.MarshalChain(chain[0]), Chain: certificate.MarshalChain(chain[1:]...), Key: pem}
}

func (m *machine) renewer() *Renewer {
	log, getenv := slog.New(slog.DiscardHandler), func(string) string { return "" }
	o := &Obtainer{Store: lineage.Store{Dir: m.dir}, Connections: &Connections{ConfigDir: m.dir, Log: log, Getenv: getenv},
		Notes: WorkNotes(m.dir), Answers: WorkAnswers(m.dir), Log: log, Now: time.Now, Timeout: time.Minute}
	o.Provers = Provers{Out: &m.out, Err: &m.errs, Log: log, WorkDir: m.dir, Getenv: getenv}
	return &Renewer{Obtainer: o, Settings: m.set, Hooks: &hook.Runner{Out: &m.out, Err: &m.errs, Log: log}, Out: &m.out, Err: &m.errs, Parallel: 8,
		Revocations: &Revocations{Client: http.DefaultClient, Answers: o.Answers, Now: time.Now}}
}

// outcomes are those of a run, in one line.
func outcomes(results []Result) string {
	var all []string
	for _, r := range results {
		all = append(all, r.Name+" "+string(r.Outcome))
	}
	return strings.Join(all, ", ")
}

func deployHook(s *settings.Settings) {
	s.RenewHook = "echo deployed $RENEWED_DOMAINS"
	s.PostHook = "echo post [$RENEWED_DOMAINS] [$FAILED_DOMAINS]"
}

// inOrder tells whether texts stand in s one after another.
func inOrder(s string, texts ...string) bool {
	for _, t := range texts {
		_, rest, ok := strings.Cut(s, t)
		if !ok {
			return false
		}
		s = rest
	}
	return true
}

func TestHooksComeInTheOrderOfLineages(t *testing.T) {
	ca := new(acmetest.CA)
	ca.Look = func(name string) acme.Status {
		if name == "a.example.org" && ca.Asked("cert") < 2 {
			return acme.Pending // until the others have ended
		}
		return ""
	}
	m := newMachine(t, ca)
	for _, n := range []string{"a.example.org", "b.example.org", "c.example.org"} {
		m.add(t, n, day, deployHook)
	}
	results, err := m.renewer().Renew(t.Context(), "")
	if err != nil || outcomes(results) != "a.example.org success, b.example.org success, c.example.org success" {
		t.Errorf("%v, %v", outcomes(results), err)
	}
	if !inOrder(m.out.String(), "a.example.org.conf", "deployed a.", "b.example.org.conf", "deployed b.", "c.example.org.conf", "deployed c.",
		"post [a.example.org b.example.org c.example.org] []") || strings.Count(m.out.String(), "post [") != 1 {
		t.Error(m.out.String())
	}
}

func TestOrderThatOnlyWaitsGivesItsPlaceToAnother(t *testing.T) {
	ca := new(acmetest.CA)
	ca.Look = func(name string) acme.Status {
		if name == "a.example.org" && ca.Asked("cert") < 1 {
			return acme.Pending
		}
		return ""
	}
	m := newMachine(t, ca)
	m.add(t, "a.example.org", day)
	m.add(t, "b.example.org", day)
	r := m.renewer()
	r.Parallel = 1
	results, err := r.Renew(t.Context(), "")
	if err != nil || outcomes(results) != "a.example.org success, b.example.org success" {
		t.Errorf("%v, %v\n%s", outcomes(results), err, m.errs.String())
	}
}

func TestInterruptedRenewalEndsSoonAndRunsPostHooks(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ca := &acmetest.CA{Look: func(name string) acme.Status {
		if name == "a.example.org" {
			return ""
		}
		cancel()
		return acme.Pending
	}}
	m := newMachine(t, ca)
	names := []string{"a.example.org"}
	for i := range 20 {
		names = append(names, string(rune('b'+i))+".example.org")
	}
	for _, n := range names {
		m.add(t, n, day, deployHook)
	}
	r := m.renewer()
	r.Parallel = 3
	start := time.Now()
	_, err := r.Renew(ctx, "")
	if took := time.Since(start); !errors.Is(err, context.Canceled) || took > 10*time.Second {
		t.Errorf("after %v: %v", took, err)
	}
	if strings.Count(m.out.String(), "post [") != 1 {
		t.Error(m.out.String())
	}
	if left, _ := os.ReadDir(m.root); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestCAThatIsNotThereKeepsNobodyElse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	m := newMachine(t, new(acmetest.CA))
	m.add(t, "a.example.org", day, func(s *settings.Settings) { s.Server = "http://" + l.Addr().String() + "/dir" })
	m.add(t, "b.example.org", day)
	m.add(t, "c.example.org", 80*day)
	if err := os.WriteFile(filepath.Join(m.dir, "renewal", "d.conf"), []byte("nothing"), 0o644); err != nil {
		t.Fatal(err)
	}
	results, err := m.renewer().Renew(t.Context(), "")
	if err != nil || outcomes(results) != "a.example.org failure, b.example.org success, c.example.org skipped, d parsefail" {
		t.Errorf("%v, %v", outcomes(results), err)
	}
}

func TestRevokedCertificateIsRenewed(t *testing.T) {
	ca := new(acmetest.CA)
	issuer, key := ca.Issuer()
	url, asked := responder(t, func(req *ocsp.Request) (int, []byte) {
		data, err := ocsp.CreateResponse(issuer, issuer, ocsp.Response{Status: ocsp.Revoked, SerialNumber: req.SerialNumber,
			ThisUpdate: time.Now(), NextUpdate: time.Now().Add(day), RevokedAt: time.Now()}, key)
		if err != nil {
			t.Error(err)
		}
		return 200, data
	})
	ca.OCSP = url
	m := newMachine(t, ca)
	m.add(t, "a.example.org", 80*day)
	m.add(t, "b.example.org", 80*day, func(s *settings.Settings) { s.Autorenew = false })
	results, err := m.renewer().Renew(t.Context(), "")
	if err != nil || outcomes(results) != "a.example.org success, b.example.org skipped" || asked() != 1 {
		t.Errorf("%v, %v; asked %d times", outcomes(results), err, asked())
	}
}

// files lists all files and links below a directory, with where links lead.
func files(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		target, _ := os.Readlink(path)
		all = append(all, path+" "+target)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestDryRunChangesNothing(t *testing.T) {
	m := newMachine(t, new(acmetest.CA))
	l := m.add(t, "a.example.org", day, deployHook)
	if _, err := l.Add(m.material(t, "a.example.org", day)); err != nil { // as if killed before it came into use
		t.Fatal(err)
	}
	torn := m.add(t, "b.example.org", day, deployHook)
	if _, err := torn.Add(m.material(t, "b.example.org", day)); err != nil {
		t.Fatal(err)
	}
	os.Remove(torn.Cert())
	os.Symlink("../../archive/b.example.org/cert2.pem", torn.Cert())
	if err := WorkNotes(m.dir).Put("a.example.org", 1); err != nil {
		t.Fatal(err)
	}
	before := files(t, m.dir)
	m.set.DryRun = true
	results, err := m.renewer().Renew(t.Context(), "")
	if err != nil || outcomes(results) != "a.example.org success, b.example.org success" {
		t.Errorf("%v, %v\n%s", outcomes(results), err, m.errs.String())
	}
	if after := files(t, m.dir); !slices.Equal(before, after) {
		t.Errorf("before\n%s\nafter\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
	if strings.Contains(m.out.String(), "deployed") {
		t.Errorf("a deploy hook ran:\n%s", m.out.String())
	}
	for n, s := range m.ca.Authorizations() {
		if s != acme.Deactivated {
			t.Errorf("the authorization of %s is %s", n, s)
		}
	}
}

func TestVersionOfAnInterruptedRunComesIntoUse(t *testing.T) {
	m := newMachine(t, new(acmetest.CA))
	l := m.add(t, "a.example.org", day, deployHook)
	if _, err := l.Add(m.material(t, "a.example.org", 90*day)); err != nil {
		t.Fatal(err)
	}
	results, err := m.renewer().Renew(t.Context(), "")
	if err != nil || outcomes(results) != "a.example.org success" || !strings.Contains(m.out.String(), "deployed a.example.org") || m.ca.Asked("new") != 0 {
		t.Errorf("%v, %v, %d orders\n%s", outcomes(results), err, m.ca.Asked("new"), m.out.String())
	}
	if left, _ := os.ReadDir(WorkNotes(m.dir).Dir); len(left) != 0 {
		t.Errorf("notes are left: %v", left)
	}
}

func TestSubsetIsWhatHooksHearOf(t *testing.T) {
	ca := &acmetest.CA{Look: func(name string) acme.Status {
		if strings.HasPrefix(name, "bad") {
			return acme.Invalid
		}
		return ""
	}}
	m := newMachine(t, ca)
	key := newKey(t)
	chain, err := ca.Issue(key.Public(), []string{"a.example.org", "bad.example.org"}, time.Now().Add(-89*day), time.Now().Add(day))
	if err != nil {
		t.Fatal(err)
	}
	pem, _ := certificate.MarshalKey(key)
	set := m.set.Clone()
	set.Server, set.Authenticator, set.WebrootPath, set.AllowSubset = m.server, "webroot", []string{m.root}, true
	deployHook(set)
	if _, err := (lineage.Store{Dir: m.dir}).Create("a", lineage.Material{Cert: certificate.MarshalChain(chain[0]), Chain: certificate.MarshalChain(chain[1:]...), Key: pem}, set); err != nil {
		t.Fatal(err)
	}
	results, err := m.renewer().Renew(t.Context(), "")
	if err != nil || outcomes(results) != "a success" || !inOrder(m.out.String(), "deployed a.example.org\n", "post [a.example.org] []") {
		t.Errorf("%v, %v\n%s", outcomes(results), err, m.out.String())
	}
}

// TestSlowLineageLosesItsPlace runs on synctest's clock.
func TestSlowLineageLosesItsPlace(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		r := &Renewer{Obtainer: &Obtainer{Store: lineage.Store{Dir: dir}, Notes: WorkNotes(dir), Log: slog.New(slog.DiscardHandler)},
			Settings: settings.Default(), Out: &out, Err: &out}
		r.Hooks = &hook.Runner{Out: &out, Err: &out, Log: r.Log}
		var jobs []*job
		for _, n := range []string{"a", "b", "c", "d"} {
			jobs = append(jobs, &job{Result: Result{Name: n}, plan: &plan{live: n, cmds: hook.Commands{Deploy: "echo hook " + n}}, due: true})
		}
		events := make(chan event, 8)
		var mu sync.Mutex
		var progress []Progress
		r.Progress = func(p Progress) { mu.Lock(); progress = append(progress, p); mu.Unlock() }
		ends := map[*job]time.Duration{jobs[0]: time.Minute, jobs[1]: 2 * time.Second, jobs[2]: time.Second, jobs[3]: time.Minute + time.Second}
		start := time.Now()
		for _, j := range jobs {
			go func() {
				events <- event{j, false}
				time.Sleep(ends[j])
				j.Outcome, j.hookDue = Renewed, true
				events <- event{j, true}
			}()
		}
		(&conductor{Renewer: r, jobs: jobs, shown: Progress{Due: 4}}).conduct(t.Context(), events, 4)
		if took := time.Since(start); took != time.Minute+time.Second {
			t.Errorf("it took %v", took)
		}
		if !inOrder(out.String(), "hook b", "hook c", "hook a", "hook d") || strings.Count(out.String(), "ran with output") != 4 {
			t.Error(out.String())
		}
		if last := progress[len(progress)-1]; last.Renewed != 4 || last.Running != 0 {
			t.Errorf("%+v", last)
		}
	})
}

func TestProgressFitsItsLine(t *testing.T) {
	p := Progress{Due: 10, Renewed: 3, Failed: 1, Running: 2, Names: []string{"a.example.org", "b.example.org"}}
	if got, want := p.Line(78), "4 of 10 done, 1 failed, 2 running: a.example.org b.example.org"; got != want {
		t.Errorf("%q", got)
	}
	for width := range 78 {
		if got := []rune(p.Line(width)); len(got) > max(width, 1) {
			t.Errorf("%d columns: %q", width, string(got))
		}
	}
}
