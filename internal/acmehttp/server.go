// Package acmehttp is the ACME front end of vidimusd (RFC 8555): it turns signed
// requests into changes of state, and state into resources. It decides nothing
// about names (package directory does) and signs nothing (package issuer does).
//
// The way of a request: [Server.ServeHTTP] finds the directory and the handler;
// verify reads the JWS, its nonce, URL and account; the handler answers with a reply
// or an error; write turns either into a response with a fresh nonce.
package acmehttp

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/audit"
	"vidimus/internal/directory"
	"vidimus/internal/issuer"
	"vidimus/internal/nonce"
	"vidimus/internal/requestid"
	"vidimus/internal/store"
	"vidimus/internal/validation"
	"vidimus/internal/weakkey"
)

// Endpoint is one ACME directory: an issuer, and how one comes to an account.
type Endpoint struct {
	Name   string // in URLs and on record
	Issuer *issuer.Issuer
	Open   bool // accounts without external account binding, control proved by challenge
	Meta   acme.DirectoryMeta
	// Staging is for trying things: registering uses up no credentials.
	Staging bool
	// Challenges are the types that can prove control; nil means http-01, dns-01 and
	// tls-alpn-01.
	Challenges []acme.ChallengeType
	Identities []string // names of the CA that a dns-persist-01 record may carry

	MaxIdentifiers int  // of an order; 0 means 100
	Subdomains     bool // a proof for a name by DNS may be good for the names below it (RFC 9444)

	base string // BaseURL + "/acme/" + Name
}

// Config is what a Server is made of.
type Config struct {
	BaseURL   string // as clients see it, such as https://acme.example.org:14000
	Endpoints []Endpoint
	Store     *store.Store
	Directory *directory.Directory
	Runner    *validation.Runner
	Blocked   *weakkey.List // keys that are refused besides those on record; nil for none
	Log       *slog.Logger
	Nonces    Nonces           // nil means those of this process
	Now       func() time.Time // nil means time.Now
	// RenewalRetryAfter is when clients are to ask for renewal information again; 0 means
	// six hours. Clients take a minute to a day (RFC 9773 §4.3.2).
	RenewalRetryAfter time.Duration

	Problem  func(acme.ProblemType) // is told of each problem that is answered; may be nil
	Stopping context.Context        // once it is done no answer is held back any more; nil means never
}

// Nonces gives out anti-replay nonces, and takes each back once (RFC 8555 §6.5).
type Nonces interface {
	Next() string
	// Known tells whether a nonce came from here and could be good; it writes nothing.
	Known(ctx context.Context, nonce string) (bool, error)
	// Redeem tells whether a nonce is good, once.
	Redeem(ctx context.Context, nonce string) (bool, error)
}

// Server answers under /acme/.
type Server struct {
	Config
	endpoints map[string]*Endpoint
	mux       *http.ServeMux
	known     knownAccounts
	issued    issuedCertificates
	clients   clients
}

// New makes a server.
func New(c Config) *Server {
	if c.RenewalRetryAfter == 0 {
		c.RenewalRetryAfter = 6 * time.Hour
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Nonces == nil {
		c.Nonces = nonce.New()
	}
	s := &Server{Config: c, endpoints: make(map[string]*Endpoint), mux: http.NewServeMux()}
	for _, e := range c.Endpoints {
		e.base = c.BaseURL + "/acme/" + e.Name
		e.MaxIdentifiers = cmp.Or(e.MaxIdentifiers, defaultMaxIdentifiers)
		s.endpoints[e.Name] = &e
	}
	s.routes()
	return s
}

func (s *Server) routes() {
	// The path below /acme/{dir}, and which key may sign a request to it.
	get := func(path string, h handler) { s.mux.HandleFunc("/acme/{dir}"+path, s.handle(nil, h)) }
	post := func(path string, by signedBy, h handler) { s.mux.HandleFunc("/acme/{dir}"+path, s.handle(by, h)) }

	get("/directory", s.getDirectory)
	get("/new-nonce", s.newNonce)
	get("/renewal-info/{id}", s.renewalInfo)
	get("/terms", s.terms)
	post("/new-account", byNewKey, s.newAccount)
	post("/new-order", byRecentAccount, s.newOrder)
	post("/new-authz", byRecentAccount, s.preauthorize)
	post("/key-change", byAccount, s.keyChange)
	post("/revoke-cert", byAccountOrKey, s.revokeCert)
	post("/acct/{id}", byAccount, s.account)
	post("/acct/{id}/orders", byRecentAccount, s.orders)
	post("/order/{id}", byRecentAccount, s.order)
	post("/order/{id}/finalize", byAccount, s.finalize)
	post("/authz/{id}", byRecentAccount, s.authz)
	post("/chall/{id}", byRecentAccount, s.challenge)
	post("/cert/{id}", byRecentAccount, s.certificate)
	post("/cert/{id}/{chain}", byRecentAccount, s.certificate)
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.write(w, r, &request{http: r}, reply{}, notFound("there is nothing at %s", r.URL.Path))
	})
}

// ServeHTTP answers a request with a resource or a problem document.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// publicCache is how long what is the same for everybody may be kept: short enough for
// a change of the configuration to be seen soon.
const publicCache = "public, max-age=300"

// handler answers a request that has been verified.
type handler func(r *request) (reply, error)

// request is a verified request: who sent it, and what it says.
type request struct {
	http    *http.Request
	dir     *Endpoint
	payload []byte // of the JWS; empty for POST-as-GET (RFC 8555 §6.3)
	signer  signer
	account store.Account // when signed by an account
}

// reply is an answer on the way out.
type reply struct {
	status     int // 0 means 200
	body       any // marshalled to JSON, unless raw is set
	raw        []byte
	mediaType  string // of raw
	location   string
	links      []string // Link header fields besides "index"
	retryAfter time.Duration
	cache      string // Cache-Control of the answer to a GET; "" means no-store
	nonce      bool   // give out a nonce, as the answer to any POST does
}

// handle makes an HTTP handler. by says who must have signed; nil means that the
// resource is fetched unsigned, or by POST-as-GET (RFC 8555 §6.3).
func (s *Server) handle(by signedBy, h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodOptions {
			preflight(w)
			return
		}
		req := &request{http: r, dir: s.endpoints[r.PathValue("dir")]}
		rep, err := s.answer(req, by, h, w)
		s.write(w, r, req, rep, err)
	}
}

func (s *Server) answer(req *request, by signedBy, h handler, w http.ResponseWriter) (reply, error) {
	r := req.http
	if req.dir == nil {
		return reply{}, notFound("there is no ACME directory %q here", r.PathValue("dir"))
	}
	switch {
	case by == nil && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		return h(req)
	case by == nil && r.Method == http.MethodPost:
		by, h = byAccount, onlyAsGET(h)
	case by == nil:
		return reply{}, wrongMethod(w, "GET, HEAD, POST")
	case r.Method != http.MethodPost:
		return reply{}, wrongMethod(w, "POST")
	}
	if err := s.verify(w, req, by); err != nil {
		return reply{}, err
	}
	req.http = r.WithContext(audit.With(r.Context(), audit.Actor{Account: req.account.ID, ACMEID: req.account.ACMEIDFQDN,
		Address: r.RemoteAddr, Request: requestid.From(r.Context())}))
	return h(req)
}

// onlyAsGET refuses requests with a payload.
func onlyAsGET(h handler) handler {
	return func(r *request) (reply, error) {
		if !r.asGET() {
			return reply{}, acme.Problemf(acme.Malformed, "fetch this by GET, or by POST-as-GET, with an empty payload (RFC 8555 §6.3)")
		}
		return h(r)
	}
}

func wrongMethod(w http.ResponseWriter, allow string) error {
	w.Header().Set("Allow", allow)
	return acme.Problemf(acme.Malformed, "use %s here (RFC 8555 §6.3)", allow).WithStatus(http.StatusMethodNotAllowed)
}

func notFound(format string, args ...any) *acme.Problem {
	return acme.Problemf(acme.Malformed, format, args...).WithStatus(http.StatusNotFound)
}

// unavailableFor is when to ask again a server whose database does not answer.
const unavailableFor = 3 * time.Second

// write sends what a handler returned, and logs it.
func (s *Server) write(w http.ResponseWriter, r *http.Request, req *request, rep reply, err error) {
	h := w.Header()
	log := []any{"method", r.Method, "path", clip(r.URL.Path), "from", r.RemoteAddr, "account", req.account.ID, "agent", clip(r.UserAgent())}
	level := slog.LevelInfo
	if err != nil {
		problem := withID(r.Context(), s.problemOf(err))
		level = slog.LevelWarn
		if problem.Status >= 500 {
			level = slog.LevelError
		}
		log = append(log, "problem", err.Error())
		if s.Problem != nil {
			s.Problem(problem.Type)
		}
		rep = reply{status: problem.Status, body: problem, mediaType: "application/problem+json", links: rep.links, location: rep.location}
		if rep.status == http.StatusServiceUnavailable {
			rep.retryAfter = unavailableFor
		}
	}
	if r.Method == http.MethodPost || rep.nonce {
		h.Set("Replay-Nonce", s.Nonces.Next())
	}
	if req.dir != nil {
		h.Add("Link", fmt.Sprintf(`<%s/directory>;rel="index"`, req.dir.base))
	}
	for _, l := range rep.links {
		h.Add("Link", l)
	}
	if rep.location != "" {
		h.Set("Location", rep.location)
	}
	if rep.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(max(1, int(rep.retryAfter/time.Second))))
	}
	crossOrigin(h)
	if rep.cache == "" || r.Method == http.MethodPost || err != nil {
		rep.cache = "no-store"
	}
	h.Set("Cache-Control", rep.cache)
	if strings.HasPrefix(rep.mediaType, "text/html") {
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	}
	h.Set("X-Content-Type-Options", "nosniff")
	body := rep.raw
	if body == nil && rep.body != nil {
		body, err = json.Marshal(rep.body)
		if err != nil {
			panic("acmehttp: " + err.Error()) // only our own plain structs come here
		}
		if rep.mediaType == "" {
			rep.mediaType = "application/json"
		}
	}
	if rep.mediaType != "" {
		h.Set("Content-Type", rep.mediaType)
	}
	if rep.status == 0 {
		rep.status = http.StatusOK
	}
	s.Log.Log(r.Context(), level, "acme", append(log, "status", rep.status)...)
	w.WriteHeader(rep.status)
	if r.Method != http.MethodHead {
		w.Write(body)
	}
}

// problemOf turns an error into a problem document. What is not meant for the
// client becomes serverInternal without its text; the log has it.
func (s *Server) problemOf(err error) *acme.Problem {
	var p *acme.Problem
	if errors.As(err, &p) {
		return p
	}
	if errors.Is(err, store.ErrUnavailable) {
		return acme.Problemf(acme.ServerInternal, "the server's database is not available now; try again in a few seconds").
			WithStatus(http.StatusServiceUnavailable)
	}
	return acme.Problemf(acme.ServerInternal, "the server could not do that now; try again later, and tell its operators if it lasts")
}

// withID is a copy of the problem that names the request. Where only the operators can
// help, the text does too, for a person to pass on.
func withID(ctx context.Context, p *acme.Problem) *acme.Problem {
	id := requestid.From(ctx)
	if id == "" {
		return p
	}
	named := *p
	named.RequestID = id
	if p.Status >= 500 {
		named.Detail += " (request " + id + ")"
	}
	return &named
}

// told is a problem for the client with a cause for the log only.
type told struct {
	problem *acme.Problem
	cause   error
}

func (t told) Error() string { return t.problem.Error() + " [" + t.cause.Error() + "]" }
func (t told) Unwrap() error { return t.problem }

// id reads the number in the request's path.
func (r *request) id() (int64, error) {
	id, err := strconv.ParseInt(r.http.PathValue("id"), 10, 64)
	if err != nil || id <= 0 {
		return 0, notFound("there is nothing at %s", r.http.URL.Path)
	}
	return id, nil
}

// asGET tells whether the request is a POST-as-GET (§6.3).
func (r *request) asGET() bool { return len(r.payload) == 0 }

// decode reads the payload into v.
func (r *request) decode(v any) error {
	if err := json.Unmarshal(r.payload, v); err != nil {
		return acme.Problemf(acme.Malformed, "the payload is not the JSON object that belongs here: %v", err)
	}
	return nil
}

func (s *Server) getDirectory(r *request) (reply, error) {
	b := r.dir.base
	meta := r.dir.Meta
	meta.ExternalAccountRequired = !r.dir.Open
	meta.SubdomainAuthAllowed = r.dir.Subdomains
	meta.Profiles = r.dir.Issuer.Descriptions()
	return reply{cache: publicCache, body: acme.Directory{
		NewNonce: b + "/new-nonce", NewAccount: b + "/new-account", NewOrder: b + "/new-order", NewAuthz: b + "/new-authz", RevokeCert: b + "/revoke-cert",
		KeyChange: b + "/key-change", RenewalInfo: b + "/renewal-info", Meta: meta,
	}}, nil
}

// newNonce answers HEAD with 200 and GET with 204 (§7.2).
func (s *Server) newNonce(r *request) (reply, error) {
	rep := reply{status: http.StatusNoContent, nonce: true}
	if r.http.Method == http.MethodHead {
		rep.status = http.StatusOK
	}
	return rep, nil
}
