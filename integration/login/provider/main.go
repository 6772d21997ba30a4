// Command provider is an OpenID provider for tests: it asks for a login, believes it, and
// speaks the authorization code flow with PKCE, discovery and userinfo. A login that begins
// with "fault-" gets a token with that fault.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// grant is what a code, and then an access token, is good for.
type grant struct {
	login, nonce, challenge, redirect string
}

type provider struct {
	issuer, client, secret, redirect string
	key, wrong                       *ecdsa.PrivateKey

	mu     sync.Mutex
	codes  map[string]grant
	tokens map[string]grant
}

func main() {
	p := &provider{codes: map[string]grant{}, tokens: map[string]grant{}, key: newKey(), wrong: newKey()}
	listen := flag.String("listen", "", "HOST:PORT")
	cert, key := flag.String("cert", "", "PEM file"), flag.String("key", "", "PEM file")
	flag.StringVar(&p.client, "client", "", "client ID")
	flag.StringVar(&p.secret, "secret", "", "client secret")
	flag.StringVar(&p.redirect, "redirect", "", "URL of the client")
	flag.Parse()
	p.issuer = "https://" + *listen
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.discovery)
	mux.HandleFunc("GET /keys", p.keys)
	mux.HandleFunc("GET /authorize", p.form)
	mux.HandleFunc("POST /authorize", p.authorize)
	mux.HandleFunc("POST /token", p.token)
	mux.HandleFunc("GET /userinfo", p.userinfo)
	log.Fatal(http.ListenAndServeTLS(*listen, *cert, *key, mux))
}

func newKey() *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	return k
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

func (p *provider) discovery(w http.ResponseWriter, _ *http.Request) {
	answer(w, 200, map[string]any{"issuer": p.issuer, "authorization_endpoint": p.issuer + "/authorize", "token_endpoint": p.issuer + "/token",
		"jwks_uri": p.issuer + "/keys", "userinfo_endpoint": p.issuer + "/userinfo", "response_types_supported": []string{"code"},
		"subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"ES256"},
		"code_challenge_methods_supported": []string{"S256"}})
}

func (p *provider) keys(w http.ResponseWriter, _ *http.Request) {
	answer(w, 200, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: p.key.Public(), KeyID: "1", Algorithm: "ES256", Use: "sig"}}})
}

func (p *provider) form(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("client_id") != p.client || q.Get("redirect_uri") != p.redirect || q.Get("response_type") != "code" ||
		q.Get("code_challenge_method") != "S256" || q.Get("nonce") == "" || q.Get("state") == "" {
		http.Error(w, "a wrong request", 400)
		return
	}
	w.Header().Set("Content-Type", "text/html")
	fmt.Fprint(w, `<!doctype html><title>Provider</title><form method="post"><label>Login <input name="login"></label><button>Go on</button></form>`)
}

// authorize believes the login.
func (p *provider) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	back := url.Values{"state": {q.Get("state")}, "iss": {p.issuer}}
	if login := r.PostFormValue("login"); login == "" {
		back.Set("error", "access_denied")
	} else {
		code := rand.Text()
		p.mu.Lock()
		p.codes[code] = grant{login, q.Get("nonce"), q.Get("code_challenge"), q.Get("redirect_uri")}
		p.mu.Unlock()
		back.Set("code", code)
	}
	http.Redirect(w, r, p.redirect+"?"+back.Encode(), http.StatusSeeOther)
}

func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	id, secret, ok := r.BasicAuth()
	if !ok {
		id, secret = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	}
	secret, _ = url.QueryUnescape(secret) // RFC 6749 §2.3.1
	code := r.PostFormValue("code")
	p.mu.Lock()
	g, there := p.codes[code]
	delete(p.codes, code)
	p.mu.Unlock()
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	switch {
	case id != p.client || secret != p.secret:
		answer(w, 401, map[string]string{"error": "invalid_client"})
		return
	case !there || r.PostFormValue("redirect_uri") != g.redirect || base64.RawURLEncoding.EncodeToString(sum[:]) != g.challenge:
		answer(w, 400, map[string]string{"error": "invalid_grant"})
		return
	}
	idToken, err := p.idToken(g)
	if err != nil {
		http.Error(w, err.Error(), 500)
		return
	}
	access := rand.Text()
	p.mu.Lock()
	p.tokens[access] = g
	p.mu.Unlock()
	answer(w, 200, map[string]any{"access_token": access, "token_type": "Bearer", "expires_in": 300, "id_token": idToken})
}

func (p *provider) idToken(g grant) (string, error) {
	key, now := p.key, time.Now()
	claims := map[string]any{"iss": p.issuer, "sub": "sub-" + g.login, "aud": p.client, "nonce": g.nonce,
		"iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "name": "Name of " + g.login, "email": g.login + "@example.org"}
	switch g.login {
	case "fault-nonce":
		claims["nonce"] = "another"
	case "fault-audience":
		claims["aud"] = "another"
	case "fault-issuer":
		claims["iss"] = "https://another.example.org"
	case "fault-expired":
		claims["exp"] = now.Add(-time.Hour).Unix()
	case "fault-key":
		key = p.wrong
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "1"}}, nil)
	if err != nil {
		return "", err
	}
	return jwt.Signed(signer).Claims(claims).Serialize()
}

// userinfo tells what the ID token doesn't: the login and the groups.
func (p *provider) userinfo(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	g, ok := p.tokens[r.Header.Get("Authorization")[len("Bearer "):]]
	p.mu.Unlock()
	if !ok {
		http.Error(w, "no such token", http.StatusUnauthorized)
		return
	}
	claims := map[string]any{"sub": "sub-" + g.login, "preferred_username": g.login, "groups": []string{"staff"}}
	switch g.login {
	case "fault-subject":
		claims["sub"] = "sub-ada"
	case "operator-by-group":
		claims["groups"] = []string{"staff", "ca-team"}
	}
	answer(w, 200, claims)
}
