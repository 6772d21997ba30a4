package login

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// Provider is an OpenID provider, which people are sent to (authorization code, RFC 6749
// §4.1, with PKCE, RFC 7636). Its exported fields are not changed once it is in use.
type Provider struct {
	Name, Title string
	Issuer      string // URL
	ClientID    string
	Secret      string // "" for a public client
	Scopes      []string
	Redirect    string // URL of the callback
	Claims      OIDCClaims
	Roles       Roles
	Create      bool         // enter people who are not on record
	HTTP        *http.Client // with a timeout; see [BoundedClient]
	Log         *slog.Logger
	Now         func() time.Time

	mu     sync.Mutex
	known  *oidc.Provider // nil until it has been found
	failed time.Time      // when it was last not found
	err    error          // why
}

// OIDCClaims are the claims that tell who somebody is.
type OIDCClaims struct{ Login, Name, Email, Groups string }

// discoverAgain is how soon a provider that was not found is looked for again.
const discoverAgain = 3 * time.Second

// discover finds the provider's endpoints, once it is there.
func (p *Provider) discover() (*oidc.Provider, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known != nil {
		return p.known, nil
	}
	if p.err != nil && p.now().Sub(p.failed).Abs() < discoverAgain {
		return nil, p.err
	}
	// The context stays with the provider, for its keys; the client has a timeout.
	known, err := oidc.NewProvider(oidc.ClientContext(context.Background(), p.HTTP), p.Issuer)
	if err != nil {
		p.failed, p.err = p.now(), fmt.Errorf("%w: %w", ErrAway, err)
		p.Log.Error("an OpenID provider is not found", "way", p.Name, "issuer", p.Issuer, "err", err)
		return nil, p.err
	}
	p.known, p.err = known, nil
	return known, nil
}

func (p *Provider) now() time.Time {
	if p.Now == nil {
		return time.Now()
	}
	return p.Now()
}

func (p *Provider) oauth(known *oidc.Provider) *oauth2.Config {
	endpoint := known.Endpoint()
	endpoint.AuthStyle = p.style(known)
	return &oauth2.Config{ClientID: p.ClientID, ClientSecret: p.Secret, Endpoint: endpoint, RedirectURL: p.Redirect,
		Scopes: append([]string{oidc.ScopeOpenID}, p.Scopes...)}
}

// style is how the provider wants to have the secret (OpenID Connect Discovery §3). To try
// one after the other, as the library does, may use up the code.
func (p *Provider) style(known *oidc.Provider) oauth2.AuthStyle {
	var meta struct {
		Methods []string `json:"token_endpoint_auth_methods_supported"`
	}
	if err := known.Claims(&meta); err == nil && len(meta.Methods) > 0 && !slices.Contains(meta.Methods, "client_secret_basic") || p.Secret == "" {
		return oauth2.AuthStyleInParams
	}
	return oauth2.AuthStyleInHeader
}

// away is where to send a browser.
func (p *Provider) away(b begun) (string, error) {
	known, err := p.discover()
	if err != nil {
		return "", err
	}
	return p.oauth(known).AuthCodeURL(b.State, oidc.Nonce(b.Nonce), oauth2.S256ChallengeOption(b.Verifier)), nil
}

// back finds who came back from the provider with a code. [ErrNotAccepted] is all that
// the person is told of what is wrong; the rest of the error is for the log.
func (p *Provider) back(ctx context.Context, b begun, query url.Values) (id Identity, err error) {
	no := func(format string, args ...any) (Identity, error) {
		return Identity{}, fmt.Errorf("%w: "+format, append([]any{ErrNotAccepted}, args...)...)
	}
	if subtle.ConstantTimeCompare([]byte(query.Get("state")), []byte(b.State)) != 1 {
		return id, ErrExpired
	}
	if e := query.Get("error"); e != "" {
		return no("the provider %s answers %q %q", p.Name, clipped(e, 100), clipped(query.Get("error_description"), 200))
	}
	if iss := query.Get("iss"); iss != "" && iss != p.Issuer { // RFC 9207
		return no("the answer is by another issuer, %q", clipped(iss, 200))
	}
	known, err := p.discover()
	if err != nil {
		return id, err
	}
	ctx = oidc.ClientContext(ctx, p.HTTP)
	token, err := p.oauth(known).Exchange(ctx, query.Get("code"), oauth2.VerifierOption(b.Verifier))
	if refused := new(oauth2.RetrieveError); errors.As(err, &refused) {
		return no("the provider %s gives no token: %s", p.Name, clipped(refused.ErrorCode+" "+refused.ErrorDescription, 200))
	} else if err != nil {
		return id, fmt.Errorf("%w: %w", ErrAway, err)
	}
	raw, _ := token.Extra("id_token").(string)
	idToken, err := known.VerifierContext(ctx, &oidc.Config{ClientID: p.ClientID, Now: p.Now}).Verify(ctx, raw)
	if err != nil {
		return no("the ID token of %s is not good: %w", p.Name, err)
	}
	if subtle.ConstantTimeCompare([]byte(idToken.Nonce), []byte(b.Nonce)) != 1 {
		return no("the ID token of %s is for another log-in", p.Name)
	}
	claims := map[string]any{}
	if err := idToken.Claims(&claims); err != nil {
		return no("the claims of %s: %w", p.Name, err)
	}
	if err := p.more(ctx, known, token, idToken.Subject, claims); err != nil {
		return id, err
	}
	return p.identity(claims)
}

// more asks userinfo for what the ID token does not tell.
func (p *Provider) more(ctx context.Context, known *oidc.Provider, token *oauth2.Token, subject string, claims map[string]any) error {
	missing := claims[p.Claims.Login] == nil || len(p.Roles) > 0 && claims[p.Claims.Groups] == nil
	if !missing || known.UserInfoEndpoint() == "" {
		return nil
	}
	info, err := known.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrAway, err)
	}
	if info.Subject != subject { // OpenID Connect Core §5.3.2
		return fmt.Errorf("%w: userinfo of %s is about somebody else", ErrNotAccepted, p.Name)
	}
	further := map[string]any{}
	if err := info.Claims(&further); err != nil {
		return fmt.Errorf("%w: userinfo of %s: %w", ErrNotAccepted, p.Name, err)
	}
	for k, v := range further {
		if claims[k] == nil {
			claims[k] = v
		}
	}
	return nil
}

func (p *Provider) identity(claims map[string]any) (Identity, error) {
	text := func(claim string) string {
		s, _ := claims[claim].(string)
		return clipped(s, 256)
	}
	login := text(p.Claims.Login)
	if login == "" {
		return Identity{}, fmt.Errorf("%w: %s tells no claim %q, which the login is to be in", ErrNotAccepted, p.Name, p.Claims.Login)
	}
	// An address that anybody may claim is nobody's login (OpenID Connect Core §5.7).
	if verified, told := claims["email_verified"]; p.Claims.Login == "email" && (!told || verified != true && verified != "true") {
		return Identity{}, fmt.Errorf("%w: %s has not verified the e-mail address that is the login", ErrNotAccepted, p.Name)
	}
	var groups []string
	switch v := claims[p.Claims.Groups].(type) {
	case string:
		groups = []string{v}
	case []any:
		for _, g := range v {
			if s, ok := g.(string); ok {
				groups = append(groups, s)
			}
		}
	}
	return Identity{Login: login, Name: text(p.Claims.Name), Email: text(p.Claims.Email), Groups: groups, Role: p.Roles.of(groups), Method: p.Name, Create: p.Create}, nil
}

// provider finds one by its name.
func (d *Door) provider(name string) *Provider {
	for _, p := range d.Providers {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// Away begins a log-in at a provider: where the browser is to go, and the token to bind it
// by. [ErrNoWay] says that there is no such provider; [TooMany] and [ErrAway] are for the
// person to see.
func (d *Door) Away(ctx context.Context, from Browser, name, to string) (where string, s Step, err error) {
	p := d.provider(name)
	if p == nil {
		return "", s, ErrNoWay
	}
	if _, err := p.discover(); err != nil {
		return "", s, err
	}
	if err := d.limiter().try(ctx, count(byBegin, "begin", addressKey(from.Address))); err != nil {
		return "", s, err
	}
	b := begun{Stage: away, To: to, Way: name, State: randomText(24), Nonce: randomText(24), Verifier: oauth2.GenerateVerifier()}
	if where, err = p.away(b); err != nil {
		return "", s, err
	}
	s, err = d.begin(ctx, b)
	return where, s, err
}

// Back ends a log-in at a provider, with what the browser brings back in its URL's query.
// [ErrExpired], [ErrNotAccepted], [ErrUnknownPerson] and [ErrAway] are for the person to see.
func (d *Door) Back(ctx context.Context, from Browser, token, name string, query url.Values) (s Step, err error) {
	b, err := d.begun(ctx, token, away)
	if err != nil {
		return s, err
	}
	p := d.provider(name)
	if p == nil || b.Way != name {
		return s, ErrExpired
	}
	if err := d.end(ctx, token); err != nil { // whatever comes of it, once
		return s, err
	}
	id, err := p.back(ctx, b, query)
	if err == nil {
		s, err = d.enter(ctx, from, id, b.To)
	}
	return s, d.refused(ctx, err, id.Login, name)
}

// providerMost bounds what a provider may answer, in bytes.
const providerMost = 1 << 20

// BoundedClient is a client whose answers are bounded, in time and size.
func BoundedClient(transport http.RoundTripper, timeout time.Duration) *http.Client {
	return &http.Client{Transport: boundedTransport{transport}, Timeout: timeout}
}

type boundedTransport struct{ http.RoundTripper }

func (t boundedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := t.RoundTripper.RoundTrip(r)
	if err == nil {
		res.Body = http.MaxBytesReader(nil, res.Body, providerMost)
	}
	return res, err
}
