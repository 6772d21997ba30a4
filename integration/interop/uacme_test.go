package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"vidimus/integration/peer"
)

var uacme = &client{
	name:    "uacme",
	version: debian("uacme"),
	needs:   []string{"uacme", "ualpn", "nsupdate"},
	asRoot:  true,
	obtain: func(a *attempt, o *order) material {
		if _, err := os.Stat(filepath.Join(o.dir, "private/key.pem")); err != nil {
			var eab []string
			if o.eab != nil {
				eab = []string{"-e", o.eab.KID + ":" + o.eab.HMACKey}
			}
			uacmeRun(a, o, append(eab, "new", "a@uni.test")...)
		}
		return uacmeIssue(a, o)
	},
	renew: func(a *attempt, o *order) material { return uacmeIssue(a, o, "-f") },
	revoke: func(a *attempt, o *order, m material) {
		uacmeRun(a, o, "revoke", filepath.Join(o.dir, o.names[0], "cert.pem"))
	},
	keyChange: func(a *attempt, o *order) {
		uacmeRun(a, o, "newkey")
	},
}

func uacmeIssue(a *attempt, o *order, options ...string) material {
	a.Helper()
	uacmeRun(a, o, append(append(options, "-h", uacmeHook(a, o), "issue"), o.names...)...)
	name := strings.TrimPrefix(o.names[0], "*.")
	return a.files(filepath.Join(o.dir, name, "cert.pem"), filepath.Join(o.dir, "private", name, "key.pem"))
}

func uacmeRun(a *attempt, o *order, args ...string) {
	a.Helper()
	a.run(o.site.trusting(a, "uacme", append([]string{"-a", o.directory, "-c", o.dir, "-y", "-t", "EC"}, args...)...))
}

// uacmeHook writes the hook for the order's challenge: a file in a web server's folder,
// a DNS update, or a word to ualpn, the responder that comes with uacme.
func uacmeHook(a *attempt, o *order) string {
	a.Helper()
	path, action := filepath.Join(o.dir, "hook-"+string(o.method)), ""
	if _, err := os.Stat(path); err == nil {
		return path
	}
	switch o.method {
	case httpChallenge:
		action = fmt.Sprintf(`if [ "$1" = begin ]; then printf %%s "$5" >'%[1]s'/"$4"; else rm -f '%[1]s'/"$4"; fi`, o.site.webroot(a))
	case dnsChallenge:
		action = fmt.Sprintf(`. '%s'; if [ "$1" = begin ]; then txt add "$3" "$5"; else txt delete "$3" "$5"; fi`, o.site.nsupdate(a, o.dir))
	case alpnChallenge:
		socket := filepath.Join(o.dir, "ualpn.sock")
		ualpn := peer.Need(a, "ualpn")
		a.start(exec.Command(ualpn, "-b", fmt.Sprintf("127.0.0.1@%d", o.site.TLSPort), "-c", "127.0.0.1@9", "-s", socket, "-p", filepath.Join(o.dir, "ualpn.pid"), "-vv"))
		a.eventually("ualpn listens", func() bool { _, err := os.Stat(socket); return err == nil })
		action = fmt.Sprintf(`if [ "$1" = begin ]; then say="auth $3 $5"; else say="unauth $3"; fi
case $(echo "$say" | '%s' -s '%s') in OK*) ;; *) exit 1 ;; esac`, ualpn, socket)
	}
	return a.file(path, 0o755, `
#!/bin/sh
# begin|done|failed METHOD IDENTIFIER TOKEN AUTH
[ "$2" = %s ] || exit 1
%s
`, o.method, action)
}
