package interop

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"vidimus/integration/peer"
	"vidimus/internal/certificate"
)

// client is a row of the table.
type client struct {
	name    string
	version func(t testing.TB) string
	needs   []string // programs, of Debian's packages
	asRoot  bool     // it can be tried by root only
	single  bool     // each name gets a certificate of its own
	short   bool     // it renews by a certificate's age only, so that must be short
	// obtain gets a certificate as the order says. Called again with the same order it
	// gets another one.
	obtain func(a *attempt, o *order) material
	// renew renews what obtain got.
	renew     func(a *attempt, o *order) material
	revoke    func(a *attempt, o *order, m material)
	keyChange func(a *attempt, o *order)
	lacks     map[column]lack
	// reasons explain outcomes by the client's own doing.
	reasons []reason
}

// order is what a client is asked to do.
type order struct {
	site      *site
	dir       string // the client's own, for one account
	directory string // URL
	eab       *peer.Credentials
	method    column // httpChallenge, dnsChallenge, alpnChallenge
	names     []string

	stop func() // ends a client that stays
}

// material is what a client has got, or serves.
type material struct {
	chain []*x509.Certificate
	key   crypto.Signer // nil for what is served: the handshake proves it
}

func (m material) leaf() *x509.Certificate { return m.chain[0] }

// lack says that a client hasn't what a column is about. Its documentation or
// program, which the probe prints, doesn't have the word.
type lack struct {
	why   string
	probe []string
	word  string
}

// reason explains an outcome whose log matches the pattern.
type reason struct {
	column  column
	pattern string
	why     string
	lack    bool // the client says that it hasn't it
}

// debian makes a version function from a package's version.
func debian(pkg string) func(testing.TB) string {
	return func(t testing.TB) string {
		out := peer.Must(t, exec.Command("dpkg-query", "-W", "-f", "${Version}", pkg))
		return strings.TrimSpace(out)
	}
}

// files reads a chain and a private key as PEM files.
func (a *attempt) files(chain, key string) (m material) {
	a.Helper()
	var err error
	if m.chain, err = certificate.LoadChain(chain); err != nil {
		a.Fatal(err)
	}
	if m.key, err = certificate.LoadKey(key); err != nil {
		a.Fatal(err)
	}
	return m
}

// served connects by TLS and returns what is served there for a name, once that is
// under the root and not old, which may be nil.
func (a *attempt) served(port int, name, root string, old *x509.Certificate) (m material) {
	a.Helper()
	a.eventually(name+" is served with a new certificate", func() bool {
		conn, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port), &tls.Config{ServerName: name, InsecureSkipVerify: true}) // checked here
		if err != nil {
			return false
		}
		defer conn.Close()
		m.chain = conn.ConnectionState().PeerCertificates
		return from(root, m.chain) == nil && (old == nil || !old.Equal(m.leaf()))
	})
	return m
}

// command makes the probe's command.
func (l lack) command(a *attempt) *exec.Cmd {
	a.Helper()
	if l.probe[0] == "vidimus" {
		return exec.Command(peer.Build(a, "vidimus"), l.probe[1:]...)
	}
	cmd := exec.Command(peer.Need(a, l.probe[0]), l.probe[1:]...)
	if l.probe[0] == "go" {
		cmd.Dir = programs(a)
	}
	return cmd
}
