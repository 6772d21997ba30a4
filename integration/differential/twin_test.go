// Package differential gives the same command lines to Debian's certbot and to
// vidimus, each in a directory of its own, and compares what they leave there after
// each line.
//
// A scenario is a shell script. In it "certbot" is the program under test, and
// "other" is the other one. A line must succeed for certbot; one that begins with "!"
// must fail. What scripts write into their directory is compared too, so hooks and
// listings are compared by redirecting them into files there.
//
// The exit statuses must be the same, with one exception: for misuse vidimus has 2
// throughout, while certbot has 2 only for what its parser finds, and otherwise 1.
package differential

import (
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rogpeppe/go-internal/diff"

	"vidimus/integration/peer"
)

func TestMain(m *testing.M) {
	flag.Parse()
	flag.Set("test.parallel", strconv.Itoa(parallel)) // more than there are processors
	os.Exit(m.Run())
}

// scenario is one entry of a table.
type scenario struct {
	name   string
	script string
}

// parallel is how many scenarios run at a time: certbot sleeps most of the time.
const parallel = 5

// TestSameAsCertbot runs all tables.
func TestSameAsCertbot(t *testing.T) {
	peer.Need(t, "certbot")
	peer.Need(t, "curl")
	peer.Need(t, "openssl")
	peer.Build(t, "vidimus") // once for all, and one failure when it can't be
	free := make(chan *stage, parallel)
	for range parallel {
		free <- newStage(t)
	}
	for _, table := range [][]scenario{obtaining, keys, renewing, hooks, managing, takingOver} {
		for _, sc := range table {
			t.Run(sc.name, func(t *testing.T) {
				t.Parallel()
				st := <-free
				defer func() { free <- st }()
				sc.run(t, st)
			})
		}
	}
}

// stage is a CA with a web server, used by one scenario at a time.
type stage struct {
	pebble *peer.Pebble
	home   atomic.Pointer[string] // whose files the web server has
	within string                 // what starts programs in other surroundings; "" is nothing
	more   []string               // further environment
}

// webServer is where names beginning with "w" are, beside 127.0.0.1 for the others.
const webServer = "127.0.0.2"

// blocked is a name that the CA refuses to certify.
const blocked = "blocked.example.org"

func newStage(t testing.TB) *stage {
	st := &stage{pebble: peer.StartPebbleWith(t, peer.PebbleOptions{
		Env: append(peer.Quick, "PEBBLE_AUTHZREUSE=0", "PEBBLE_ALTERNATE_ROOTS=2"), Blocked: []string{blocked}})}
	for i := range 4 {
		st.pebble.Manage(t, "add-a", map[string]any{"host": fmt.Sprintf("w%d.example.org", i+1), "addresses": []string{webServer}})
	}
	st.pebble.Manage(t, "add-a", map[string]any{"host": "refused.example.org", "addresses": []string{"127.0.0.9"}})
	st.more = []string{"ROOTS=" + st.pebble.Roots}
	l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", webServer, st.pebble.HTTPPort))
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: st}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	return st
}

// ServeHTTP serves each of the web roots of the directory in use.
func (st *stage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for _, root := range []string{"www", "www2"} {
		data, err := os.ReadFile(filepath.Join(*st.home.Load(), root, filepath.Clean("/"+r.URL.Path)))
		if err == nil {
			w.Write(data)
			return
		}
	}
	http.NotFound(w, r)
}

// step is what one line of a script led to.
type step struct {
	line   string
	output string
	status int
	left   string // the snapshot
}

// early is what a program may leave behind that refuses a line late: vidimus refuses
// many before it goes to the CA or makes a directory.
var early = regexp.MustCompile(`(?m)^(config/accounts.*|config .*|logs .*|work .*)\n`)

func (s step) compared() string {
	if s.status == 0 {
		return s.left
	}
	return early.ReplaceAllString(s.left, "")
}

// run lets both programs act the scenario and compares. One time in a hundred Pebble
// reuses a proof of control even with PEBBLE_AUTHZREUSE=0, so that it asks one program
// for fewer proofs than the other, and fewer hooks run: what it asked for tells, and
// only then the scenario is acted once more.
func (sc scenario) run(t *testing.T, st *stage) {
	why, fair := sc.compare(t, st)
	if why != "" && !fair {
		t.Logf("once more, as Pebble did not ask both for as many proofs: %s", why)
		why, _ = sc.compare(t, st)
	}
	if why != "" {
		t.Error(why)
	}
}

// proofs counts the proofs of control that Pebble has asked for.
func (st *stage) proofs() int {
	return strings.Count(st.pebble.Log.String(), "authorizations in the db")
}

// compare tells the first difference, and whether both had to prove as much.
func (sc scenario) compare(t *testing.T, st *stage) (why string, fair bool) {
	start := st.proofs()
	theirs := sc.act(t, st, peer.Need(t, "certbot"), peer.Build(t, "vidimus"))
	middle := st.proofs()
	ours := sc.act(t, st, peer.Build(t, "vidimus"), peer.Need(t, "certbot"))
	fair = middle-start == st.proofs()-middle
	for _, a := range theirs {
		if strings.HasPrefix(a.line, "!") != (a.status != 0) {
			return fmt.Sprintf("the scenario is wrong: certbot's exit status is %d for %s\n%s", a.status, a.line, a.output), fair
		}
	}
	return compare(theirs, ours), fair
}

// compare tells the first difference; "" is none.
func compare(theirs, ours []step) string {
	for i, a := range theirs {
		b, why := ours[i], ""
		left, right := a.compared(), b.compared()
		switch {
		case a.status != b.status && (a.status != 1 || b.status != 2):
			why = fmt.Sprintf("exit status of certbot %d, of vidimus %d", a.status, b.status)
		case left != right:
			why = string(diff.Diff("certbot", []byte(left), "vidimus", []byte(right)))
		}
		if why != "" {
			return fmt.Sprintf("after line %d: %s\n%s\ncertbot said:\n%s\nvidimus said:\n%s", i+1, a.line, why, a.output, b.output)
		}
	}
	return ""
}

// act runs the script with one program in a new directory.
func (sc scenario) act(t *testing.T, st *stage, program, other string) []step {
	t.Helper()
	home, err := os.MkdirTemp("", "twin") // a name without what a renewal file must quote
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(home)
	if err := os.Chmod(home, 0o755); err != nil {
		t.Fatal(err)
	}
	st.home.Store(&home)
	defer st.prepare(t, home, program, other)()
	var steps []step
	for line := range strings.SplitSeq(strings.ReplaceAll(sc.script, "\\\n", " "), "\n") {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		cmd := exec.Command("/bin/sh", "-c", strings.TrimPrefix(line, "!"))
		cmd.Dir, cmd.Env = home, st.environ(home)
		out, status := peer.Run(t, cmd)
		steps = append(steps, step{line, out, status, snapshot(t, home)})
	}
	return steps
}

// prepare fills the directory with what scripts use, and returns what undoes it.
func (st *stage) prepare(t *testing.T, home, program, other string) func() {
	t.Helper()
	for _, dir := range []string{"bin", "www", "www2"} {
		if err := os.Mkdir(filepath.Join(home, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	tools := map[string]string{"certbot": st.wrapper(program), "other": st.wrapper(other)}
	for name, text := range scripts {
		tools[name] = text
	}
	for name, text := range tools {
		if err := os.WriteFile(filepath.Join(home, "bin", name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if st.pebble.DNS == "" {
		return func() {}
	}
	return func() { // both programs keep state of their own about TXT records
		for _, n := range []string{"a", "b", "c"} {
			st.pebble.Manage(t, "clear-txt", map[string]string{"host": "_acme-challenge." + n + ".example.org."})
		}
	}
}

// wrapper starts a program in the directory of the script.
func (st *stage) wrapper(program string) string {
	return `#!/bin/sh
case " $* " in *" renew "*) set -- "$@" --no-random-sleep-on-renew;; esac
exec ` + st.within + program + ` "$@" --config-dir $H/config --work-dir $H/work --logs-dir $H/logs -n
`
}

// hookEnd notes what a manual hook was told, in a way that does not depend on the
// order in which the CA wants names to be proved. Scripts sort the notes then.
const hookEnd = `
all=$(echo $CERTBOT_ALL_DOMAINS | tr , '\n' | sort | xargs)
echo "$1 $CERTBOT_DOMAIN of $all token=${CERTBOT_TOKEN+yes} output=$CERTBOT_AUTH_OUTPUT" >> $H/notes
echo "$1 remaining=$CERTBOT_REMAINING_CHALLENGES" >> $H/notes
`

// scripts are tools for scenarios. "note WORDS" notes that it was called, and for
// deploy hooks what they are told; those in -auth and -cleanup are manual hooks.
var scripts = map[string]string{
	// RENEWED_DOMAINS and FAILED_DOMAINS of post hooks came after certbot 2.1.0.
	"note": `#!/bin/sh
case $1 in deploy|renew) set -- "$* $RENEWED_LINEAGE: $RENEWED_DOMAINS";; esac
echo "$*" >> $H/notes
`,
	// said PATTERN COMMAND notes which lines of standard output match.
	"said": `#!/bin/sh
pattern=$1; shift
"$@" > $H/bin/out; status=$?
grep -E "$pattern" $H/bin/out >> $H/said
exit $status
`,
	"http-auth": `#!/bin/sh
mkdir -p $H/www/.well-known/acme-challenge
printf %s "$CERTBOT_VALIDATION" > $H/www/.well-known/acme-challenge/$CERTBOT_TOKEN
echo "output for $CERTBOT_DOMAIN"
set -- auth` + hookEnd,
	"http-cleanup": `#!/bin/sh
rm $H/www/.well-known/acme-challenge/$CERTBOT_TOKEN
set -- cleanup` + hookEnd,
	"dns-auth": `#!/bin/sh
curl -sf -d "{\"host\":\"_acme-challenge.$CERTBOT_DOMAIN.\",\"value\":\"$CERTBOT_VALIDATION\"}" $DNS/set-txt
set -- auth` + hookEnd,
	"dns-cleanup": `#!/bin/sh
curl -sf -d "{\"host\":\"_acme-challenge.$CERTBOT_DOMAIN.\"}" $DNS/clear-txt
set -- cleanup` + hookEnd,
}

// environ is what scripts have: H is their directory, CA says which CA and whose
// account, ALONE, HTTP and TXT choose how to prove control.
func (st *stage) environ(home string) []string {
	port := strconv.Itoa(st.pebble.HTTPPort)
	return append([]string{
		"PATH=" + filepath.Join(home, "bin") + ":" + os.Getenv("PATH"), "HOME=" + home, "XDG_CONFIG_HOME=" + home, "LC_ALL=C.UTF-8",
		"REQUESTS_CA_BUNDLE=" + st.pebble.CABundle, "H=" + home, "SERVER=" + st.pebble.Directory, "DNS=" + st.pebble.DNS, "PORT=" + port,
		"CA=--server " + st.pebble.Directory + " --agree-tos -m admin@example.org --no-eff-email",
		"ALONE=--standalone --http-01-address 127.0.0.1 --http-01-port " + port,
		"HTTP=--manual --preferred-challenges http --manual-auth-hook http-auth --manual-cleanup-hook http-cleanup",
		"TXT=--manual --preferred-challenges dns --manual-auth-hook dns-auth --manual-cleanup-hook dns-cleanup",
	}, st.more...)
}
