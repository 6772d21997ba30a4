package faults

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/diff"

	"vidimus/integration/peer"
)

// machine is a server with many certificates.
type machine struct {
	dir   string
	front *Front
	held  atomic.Int32 // answers that said that the slow name is not validated yet
}

func (m *machine) path(parts ...string) string {
	return filepath.Join(append([]string{m.dir}, parts...)...)
}

// vidimus makes a command in the machine's directories.
func (m *machine) vidimus(t *testing.T, args ...string) *exec.Cmd {
	cmd := exec.Command(peer.Build(t, "vidimus"), append(args, "--config-dir", m.path("config"), "--work-dir", m.path("work"),
		"--logs-dir", m.path("logs"), "-n")...)
	cmd.Env = append(os.Environ(), "REQUESTS_CA_BUNDLE="+m.front.CABundle, "HOME="+m.dir, "XDG_CONFIG_HOME="+m.dir)
	return cmd
}

// version is that of a whole lineage.
func (m *machine) version(t *testing.T, name string) int {
	t.Helper()
	v, err := peer.Whole(m.path("config"), name)
	if err != nil {
		t.Errorf("the lineage %s is not whole: %v", name, err)
	}
	return v
}

// inUse is the version that is in use, read as a web server may read it at any time.
func (m *machine) inUse(name string) string {
	target, _ := os.Readlink(m.path("config", "live", name, "cert.pem"))
	return filepath.Base(target)
}

// numbered makes names.
func numbered(format string, n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf(format, i))
	}
	return names
}

// inARow bounds how many faults one request meets before it gets through.
const inARow = 2

// nonceFaults is how many requests for a nonce come to one that breaks.
const nonceFaults = 10

// unreliable breaks one request of every "every" at random, in every way but rate
// limits.
func unreliable(seed uint64, every int) func(Request) Answer {
	random := rand.New(rand.NewPCG(seed, 0))
	nonces := 0
	return func(r Request) Answer {
		if r.Method == http.MethodHead { // no telling whose request needs the nonce
			if nonces++; nonces%nonceFaults > 0 {
				return Answer{}
			}
		} else if r.Before >= inARow || random.IntN(every) > 0 {
			return Answer{}
		}
		f := Fault(1 + random.IntN(int(RateLimited)-1))
		if r.Method != "POST" && f == BadNonce {
			return Answer{}
		}
		return Answer{Fault: f}
	}
}

// fleet is what TestAllGoodOnesEndRenewed renews.
type fleet struct {
	good    []string
	slow    []string // their validation hangs until all others are renewed
	refused []string // nothing listens where they are
	blocked []string // the CA doesn't certify them
	limited string   // the CA wants to hear of it again in an hour
}

func (f fleet) bad() []string {
	return slices.Concat(f.refused, f.blocked, []string{f.limited})
}

// TestAllGoodOnesEndRenewed renews 200 lineages through a front that breaks every
// fifth request, with names among them that the CA refuses, limits or validates for
// ever.
func TestAllGoodOnesEndRenewed(t *testing.T) {
	for name, h2 := range map[string]bool{"HTTP2": true, "HTTP1": false} {
		t.Run(name, func(t *testing.T) {
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			f := fleet{good: numbered("g%03d.example.org", 200), slow: numbered("a-slow%d.example.org", 1),
				refused: numbered("refused%d.example.org", 3), blocked: numbered("blocked%d.example.org", 3), limited: "limited.example.org"}
			m := newMachine(t, f, h2, seed)
			out, status := m.renew(t)
			t.Log(m.front.Counts())
			m.check(t, f, out, status)
			for f := range kinds {
				if m.front.Count(f) == 0 {
					t.Errorf("the front had no %v", f)
				}
			}
		})
	}
}

// renew renews all, with hooks that leave notes.
func (m *machine) renew(t *testing.T) (out string, status int) {
	return peer.Run(t, m.vidimus(t, "renew", "--force-renewal", "--no-random-sleep-on-renew",
		"--pre-hook", "echo pre >> "+m.path("hooks"), "--post-hook", `echo "post $FAILED_DOMAINS" >> `+m.path("hooks"),
		"--deploy-hook", `echo "deploy $RENEWED_LINEAGE" >> `+m.path("hooks")))
}

// TestManySlowNamesHoldUpNobody has more names whose validation hangs than orders
// run at the same time.
func TestManySlowNamesHoldUpNobody(t *testing.T) {
	f := fleet{good: numbered("g%03d.example.org", 20), slow: numbered("a-slow%02d.example.org", 12), limited: "limited.example.org"}
	m := newMachine(t, f, true, 1)
	out, status := m.renew(t)
	m.check(t, f, out, status)
}

// TestOrderThatBreaksTheCAHoldsUpNobody has names whose orders the CA answers with 500:
// between two attempts for such a name there is time to order others.
func TestOrderThatBreaksTheCAHoldsUpNobody(t *testing.T) {
	p := peer.StartPebble(t, peer.Quick...)
	m := &machine{dir: t.TempDir()}
	var orders []string
	cursed, good := numbered("a-cursed%d.example.org", 4), numbered("g%03d.example.org", 20)
	m.front = NewFront(t, p.Directory, true, func(r Request) Answer {
		if r.Path != "/order-plz" {
			return Answer{}
		}
		orders = append(orders, r.Payload)
		if isCursed(r.Payload) {
			return Answer{Fault: ServerError}
		}
		return Answer{}
	})
	m.write(t, p, slices.Concat(cursed, good))
	out, status := m.renew(t)
	if status != 1 {
		t.Errorf("exit status %d\n%s", status, last(out, 4000))
	}
	for _, name := range good {
		if v := m.version(t, name); v != 2 {
			t.Errorf("%s: version %d is in use, want 2", name, v)
		}
	}
	tries := 0 // of the first such name, one right after the other
	for i := slices.IndexFunc(orders, isCursed); i+tries < len(orders) && orders[i+tries] == orders[i]; {
		tries++
	}
	if tries > 1 {
		t.Errorf("the CA broke down %d times over one name before another was ordered:\n%s", tries, strings.Join(orders, "\n"))
	}
}

func isCursed(order string) bool { return strings.Contains(order, "a-cursed") }

// newMachine writes the lineages and starts the CA with its front, in which the
// faults begin after the account was made.
func newMachine(t *testing.T, f fleet, h2 bool, seed uint64) *machine {
	t.Helper()
	p := peer.StartPebbleWith(t, peer.PebbleOptions{Env: append(peer.Quick, "PEBBLE_AUTHZREUSE=0"), Blocked: f.blocked})
	for _, name := range f.refused {
		p.Manage(t, "add-a", map[string]any{"host": name, "addresses": []string{"127.0.0.9"}})
	}
	m := &machine{dir: t.TempDir()}
	m.front = NewFront(t, p.Directory, h2, m.plan(t, f, unreliable(seed, 5)))
	m.write(t, p, slices.Concat(f.good, f.slow, f.bad()))
	return m
}

// write makes an account and lineages, and begins with the faults.
func (m *machine) write(t *testing.T, p *peer.Pebble, names []string) {
	t.Helper()
	peer.Must(t, m.vidimus(t, "register", "--server", m.front.Directory, "--agree-tos", "-m", "admin@example.org", "--no-eff-email"))
	peer.WriteLineages(t, m.path("config"), m.front.Directory, p.HTTPPort, names...)
	m.front.Break()
}

// plan adds to random faults what concerns certain names, and three rate limits that
// concern all.
func (m *machine) plan(t *testing.T, f fleet, random func(Request) Answer) func(Request) Answer {
	var once sync.Once
	orders, deadline := 0, time.Now().Add(time.Minute)
	others := func() bool {
		return !slices.ContainsFunc(f.good, func(n string) bool { return m.inUse(n) == "cert1.pem" })
	}
	pending := func(body []byte) []byte {
		slow := slices.ContainsFunc(f.slow, func(n string) bool { return bytes.Contains(body, []byte(`"`+n+`"`)) })
		if !slow || others() {
			return body
		}
		if time.Now().After(deadline) {
			once.Do(func() { t.Errorf("the others wait for %v", f.slow) })
			return body
		}
		m.held.Add(1)
		return bytes.ReplaceAll(body, []byte(`"status": "valid"`), []byte(`"status": "pending"`))
	}
	return func(r Request) Answer {
		if strings.HasPrefix(r.Path, "/order-plz") {
			if orders++; orders%70 == 0 {
				return Answer{Fault: RateLimited, RetryAfter: 1}
			}
			if strings.Contains(r.Payload, f.limited) {
				return Answer{Fault: RateLimited, RetryAfter: 3600}
			}
		}
		a := random(r)
		if strings.HasPrefix(r.Path, "/authZ/") && r.Payload == "" {
			a.Edit = pending
		}
		return a
	}
}

// check looks at what the renewal left.
func (m *machine) check(t *testing.T, f fleet, out string, status int) {
	t.Helper()
	if status != 1 {
		t.Errorf("exit status %d, want 1 as some names fail", status)
	}
	for _, name := range slices.Concat(f.good, f.slow) {
		if v := m.version(t, name); v != 2 {
			t.Errorf("%s: version %d is in use, want 2; the log says\n%s", name, v, about(m.log(t)+out, name))
		}
	}
	for _, name := range f.bad() {
		if v := m.version(t, name); v != 1 {
			t.Errorf("%s: version %d is in use, want 1", name, v)
		}
		for _, want := range []string{"Failed to renew certificate " + name + " with error: ", "live/" + name + "/fullchain.pem (failure)"} {
			if !strings.Contains(out, want) {
				t.Errorf("%q is not reported", want)
			}
		}
	}
	m.checkHooks(t, f)
	if m.held.Load() == 0 {
		t.Errorf("%v were validated at once", f.slow)
	}
}

func (m *machine) checkHooks(t *testing.T, f fleet) {
	t.Helper()
	data, err := os.ReadFile(m.path("hooks"))
	if err != nil {
		t.Error(err)
		return
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	if lines[0] != "pre" {
		t.Errorf("the first hook is %q, want pre", lines[0])
	}
	failed := strings.Fields(lines[len(lines)-1])
	slices.Sort(failed)
	if want := append(f.bad(), "post"); !slices.Equal(failed, sorted(want)) {
		t.Errorf("the last hook is %v, want post with %v", failed, want)
	}
	var want []string
	for _, name := range slices.Concat(f.good, f.slow) {
		want = append(want, "deploy "+m.path("config", "live", name))
	}
	if got := sorted(lines[1 : len(lines)-1]); !slices.Equal(got, sorted(want)) {
		t.Errorf("between pre and post ran these hooks, want one deploy hook for each lineage:\n%s",
			diff.Diff("want", []byte(strings.Join(sorted(want), "\n")), "got", []byte(strings.Join(got, "\n"))))
	}
}

// TestDeadCAIsGivenUp has a CA that answers nothing any more: each lineage stays as it
// is, and a fleet does not knock again and again.
func TestDeadCAIsGivenUp(t *testing.T) {
	p := peer.StartPebble(t, peer.Quick...)
	m := &machine{dir: t.TempDir()}
	m.front = NewFront(t, p.Directory, true, func(r Request) Answer {
		if r.Method == "POST" {
			return Answer{Fault: DropBefore}
		}
		return Answer{}
	})
	names := numbered("g%03d.example.org", 100)
	m.write(t, p, names)
	out, status := peer.Run(t, m.vidimus(t, "renew", "--force-renewal", "--no-random-sleep-on-renew"))
	if status != 1 || !strings.Contains(out, "100 renew failure(s), 0 parse failure(s)") {
		t.Errorf("exit status %d\n%s", status, last(out, 4000))
	}
	for _, name := range names {
		if v := m.version(t, name); v != 1 {
			t.Errorf("%s: version %d is in use, want 1", name, v)
		}
	}
	t.Logf("the dead CA was asked %d times", m.front.Count(DropBefore))
	if n := m.front.Count(DropBefore); n > len(names) {
		t.Errorf("the dead CA was asked %d times for %d lineages", n, len(names))
	}
}

func sorted(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return s
}

func (m *machine) log(t *testing.T) string {
	data, err := os.ReadFile(m.path("logs", "letsencrypt.log"))
	if err != nil {
		t.Log(err)
	}
	return string(data)
}

// about returns the lines of a text that hold a word.
func about(text, word string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		if strings.Contains(line, word) {
			out.WriteString(line)
		}
	}
	return last(out.String(), 4000)
}

func last(s string, n int) string {
	return s[max(0, len(s)-n):]
}
