package acmehttp_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"vidimus/internal/acmehttp"
	"vidimus/internal/directory"
	"vidimus/internal/issuer"
	"vidimus/internal/store"
	"vidimus/internal/store/storetest"
	"vidimus/internal/validation"
)

// server is an ACME front end on loopback, with a CA and an empty host database.
type server struct {
	t     testing.TB
	url   string
	store *store.Store
	dir   *directory.Directory
	iss   *issuer.Issuer
	root  issuer.CA
	log   *logBuffer
}

type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func newServer(t testing.TB, changes ...func(*acmehttp.Config)) *server {
	t.Helper()
	db, err := store.Open(t.Context(), storetest.Path(t))
	if err != nil {
		t.Fatal(err)
	}
	root, err := issuer.NewRoot("Test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	ca, err := issuer.NewIssuing("Test", "main", root, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	iss, err := issuer.New(issuer.Issuer{Name: "main", Validity: 90 * 24 * time.Hour, Store: db, Intermediates: []*issuer.Intermediate{
		{CA: ca.Certificate, Key: ca.Key, Chains: [][]*x509.Certificate{chainOf(ca)}, Root: root.Certificate}}})
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, store: db, dir: &directory.Directory{Store: db}, iss: iss, root: root, log: new(logBuffer)}
	log := slog.New(slog.NewTextHandler(s.log, nil))
	runner := &validation.Runner{Store: db, Log: log, Validator: &validation.Validator{Resolver: validation.Loopback{},
		Networks: validation.Networks{netip.MustParsePrefix("127.0.0.0/8")}, HTTPPort: closedPort(t), TLSPort: closedPort(t)}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.url = "http://" + l.Addr().String()
	config := acmehttp.Config{BaseURL: s.url, Store: db, Directory: s.dir, Runner: runner, Log: log,
		Endpoints: []acmehttp.Endpoint{{Name: "main", Issuer: iss}, {Name: "main-open", Issuer: iss, Open: true}}}
	for _, change := range changes {
		change(&config)
	}
	h := &http.Server{Handler: acmehttp.New(config)}
	go h.Serve(l)
	t.Cleanup(func() {
		h.Close()
		runner.Wait(t.Context())
		db.Close()
	})
	return s
}

// closedPort is a port that nobody listens on.
func closedPort(t testing.TB) int {
	ts := httptest.NewServer(nil)
	defer ts.Close()
	return ts.Listener.Addr().(*net.TCPAddr).Port
}

// acmeID enters hosts and makes an ACME-ID of the first for them all.
func (s *server) acmeID(names ...string) store.Credentials {
	s.t.Helper()
	for _, n := range names {
		if _, err := s.dir.AddHost(s.t.Context(), n, nil); err != nil {
			s.t.Fatal(err)
		}
	}
	_, c, err := s.dir.AddACMEID(s.t.Context(), directory.Team, names[0], names)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// client speaks ACME with one account key, and says exactly what it is told to.
type client struct {
	*server
	dir string // name of the ACME directory
	key *ecdsa.PrivateKey
	kid string // account URL, once registered
}

func (s *server) client(dir string) *client {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	return &client{server: s, dir: dir, key: key}
}

// registered is a client with an account that may have the names (or, in the open
// directory, with no names).
func (s *server) registered(names ...string) *client {
	s.t.Helper()
	if len(names) == 0 {
		c := s.client("main-open")
		c.post("/new-account", "{}").want(201)
		return c
	}
	cred := s.acmeID(names...)
	c := s.client("main")
	c.post("/new-account", c.withEAB(cred, nil)).want(201)
	return c
}

func (c *client) at(path string) string {
	if strings.HasPrefix(path, "http") {
		return path
	}
	return c.url + "/acme/" + c.dir + path
}

func (c *client) nonce() string {
	c.t.Helper()
	resp, err := http.Head(c.at("/new-nonce"))
	if err != nil {
		c.t.Fatal(err)
	}
	resp.Body.Close()
	return resp.Header.Get("Replay-Nonce")
}

// jws describes a request; what is unset is as it should be.
type jws struct {
	path, payload string
	url           string // in the header
	nonce         string
	alg           jose.SignatureAlgorithm
	key           any
	embed         bool // "jwk" instead of "kid"
	kid           string
	noNonce       bool
}

func (c *client) sign(r jws) string {
	c.t.Helper()
	if r.url == "" {
		r.url = c.at(r.path)
	}
	if r.alg == "" {
		r.alg = jose.ES256
	}
	if r.key == nil {
		r.key = c.key
	}
	if r.kid == "" {
		r.kid = c.kid
	}
	o := (&jose.SignerOptions{EmbedJWK: r.embed}).WithHeader("url", r.url)
	if !r.noNonce {
		if r.nonce == "" {
			r.nonce = c.nonce()
		}
		o = o.WithHeader("nonce", r.nonce)
	}
	if !r.embed {
		o = o.WithHeader("kid", r.kid)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: r.alg, Key: r.key}, o)
	if err != nil {
		c.t.Fatal(err)
	}
	sig, err := signer.Sign([]byte(r.payload))
	if err != nil {
		c.t.Fatal(err)
	}
	return sig.FullSerialize()
}

// answer is what came back.
type answer struct {
	t      testing.TB
	status int
	header http.Header
	body   []byte
}

func (c *client) raw(method, path, contentType, body string) answer {
	c.t.Helper()
	req, err := http.NewRequest(method, c.at(path), strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return answer{c.t, resp.StatusCode, resp.Header, data}
}

func (c *client) send(r jws) answer {
	c.t.Helper()
	return c.raw("POST", r.path, "application/jose+json", c.sign(r))
}

// post sends a well-formed request, signed by the account or, without one, with the
// key in the header.
func (c *client) post(path, payload string) answer {
	c.t.Helper()
	a := c.send(jws{path: path, payload: payload, embed: c.kid == ""})
	if path == "/new-account" && a.status < 300 {
		c.kid = a.header.Get("Location")
	}
	return a
}

func (a answer) want(status int) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("HTTP status %d, want %d: %s", a.status, status, a.body)
	}
	return a
}

// problem checks that the answer is a problem document, and returns it.
type problem struct {
	Type        string
	Detail      string
	Status      int
	Algorithms  []string
	Instance    string
	Subproblems []struct {
		Type       string
		Detail     string
		Identifier struct{ Type, Value string }
	}
}

func (a answer) problem(kind string, status int) (p problem) {
	a.t.Helper()
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		a.t.Fatalf("Content-Type %q: %s", got, a.body)
	}
	a.json(&p)
	if p.Type != "urn:ietf:params:acme:error:"+kind || a.status != status || p.Status != status || p.Detail == "" {
		a.t.Fatalf("got %d %+v, want %s with status %d", a.status, p, kind, status)
	}
	return p
}

func (a answer) json(v any) {
	a.t.Helper()
	if err := json.Unmarshal(a.body, v); err != nil {
		a.t.Fatalf("%v: %s", err, a.body)
	}
}

// eab is a binding's description; what is unset is as it should be.
type eab struct {
	kid string
	mac []byte
	key crypto.PublicKey
	url string
}

func (c *client) withEAB(cred store.Credentials, change func(*eab)) string {
	c.t.Helper()
	e := eab{kid: cred.KID, mac: cred.HMACKey, key: c.key.Public(), url: c.at("/new-account")}
	if change != nil {
		change(&e)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: e.mac},
		new(jose.SignerOptions).WithHeader("kid", e.kid).WithHeader("url", e.url))
	if err != nil {
		c.t.Fatal(err)
	}
	jwk, err := json.Marshal(jose.JSONWebKey{Key: e.key})
	if err != nil {
		c.t.Fatal(err)
	}
	sig, err := signer.Sign(jwk)
	if err != nil {
		c.t.Fatal(err)
	}
	return `{"termsOfServiceAgreed":true,"contact":["mailto:a@example.org"],"externalAccountBinding":` + sig.FullSerialize() + `}`
}

// thumbprint is that of RFC 7638.
func thumbprint(t testing.TB, key *ecdsa.PrivateKey) string {
	t.Helper()
	sum, err := (&jose.JSONWebKey{Key: key.Public()}).Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return b64(sum)
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }
