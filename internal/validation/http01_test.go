package validation

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"vidimus/internal/acme"
)

const wellKnown = "/.well-known/acme-challenge/"

func TestHTTP01(t *testing.T) {
	to := func(url string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, strings.ReplaceAll(url, "PORT", r.Host[strings.LastIndexByte(r.Host, ':')+1:]), http.StatusFound)
		}
	}
	answer := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	tests := []struct {
		name    string
		handler http.HandlerFunc
		problem acme.ProblemType
		says    string
	}{
		{"right", answer(200, keyAuthorization), "", ""},
		{"right, with a newline", answer(200, keyAuthorization+"\r\n"), "", ""},
		{"space before", answer(200, " "+keyAuthorization), acme.Unauthorized, "key authorization"},
		{"wrong body", answer(200, "Hello <script>"), acme.Unauthorized, "with 14 bytes that"},
		{"another's key", answer(200, token+".x"), acme.Unauthorized, "key authorization"},
		{"empty", answer(200, ""), acme.Unauthorized, "with 0 bytes that"},
		{"not found", answer(404, keyAuthorization), acme.Unauthorized, "404"},
		{"created", answer(201, keyAuthorization), acme.Unauthorized, "201"},
		{"too large", answer(200, keyAuthorization+strings.Repeat("\n", maxBody)), acme.Unauthorized, "more than 4096 bytes"},
		{"cut short", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, keyAuthorization)
		}, acme.Connection, "reading"},
		{"hangs up", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, acme.Connection, "fetching"},
		{"headers without end", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("x", 64<<10))
		}, acme.Connection, "fetching"},
		{"redirect to the same port", to("http://other.example.org:PORT/there"), "", ""},
		{"redirect to a path", to("/there"), "", ""},
		{"redirect to another port", to("http://www.example.org:22/"), acme.Connection, "not on the port of a web server"},
		{"redirect to an address", to("http://127.0.0.1:PORT/there"), acme.Connection, "not at a host name"},
		{"redirect to IPv6", to("http://[::1]:PORT/there"), acme.Connection, "not at a host name"},
		{"redirect to a number", to("http://2130706433:PORT/there"), acme.Connection, "not at a host name"},
		{"redirect to localhost", to("http://localhost:PORT/there"), acme.Connection, "not at a host name"},
		{"redirect to ftp", to("ftp://www.example.org/there"), acme.Connection, "neither http nor https"},
		{"redirect to file", to("file:///etc/passwd"), acme.Connection, "neither http nor https"},
		{"redirect with a user", to("http://ada:secret@www.example.org:PORT/there"), acme.Connection, "user name"},
		{"redirect to no URL", to("http://[www/"), acme.Connection, "fetching"},
		{"redirect loop", to(wellKnown + token), acme.Connection, "after 10 redirects"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			mux := http.NewServeMux()
			mux.HandleFunc("GET "+wellKnown+token, tt.handler)
			mux.HandleFunc("GET /there", func(w http.ResponseWriter, r *http.Request) {
				if r.Referer() != "" {
					t.Errorf("the redirected request has the referer %q", r.Referer())
				}
				fmt.Fprint(w, keyAuthorization)
			})
			server := httptest.NewServer(mux)
			defer server.Close()
			v := &Validator{Resolver: Loopback{}, Networks: loopback, HTTPPort: port(t, server.Listener.Addr())}
			check(t, validate(t, v, acme.HTTP01), tt.problem, tt.says)
		})
	}
}

// replacePort puts a port where a URL has PORT.
func replacePort(url string, port int) string {
	return strings.ReplaceAll(url, "PORT", fmt.Sprint(port))
}

func TestHTTP01FollowsToHTTPSWithAnyCertificate(t *testing.T) {
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, keyAuthorization) }))
	defer secure.Close()
	tlsPort := port(t, secure.Listener.Addr())
	plain := httptest.NewServer(http.RedirectHandler(fmt.Sprintf("https://www.example.org:%d/", tlsPort), http.StatusMovedPermanently))
	defer plain.Close()
	v := &Validator{Resolver: Loopback{}, Networks: loopback, HTTPPort: port(t, plain.Listener.Addr()), TLSPort: tlsPort}
	check(t, validate(t, v, acme.HTTP01), "", "")
}

func TestHTTP01NeverConnectsToAPrivateAddress(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("connected") }))
	defer server.Close()
	for _, r := range []Resolver{Loopback{}, fixed{"::ffff:127.0.0.1"}, fixed{"0.0.0.0"}, fixed{"::"}, fixed{"::127.0.0.1"}} {
		v := &Validator{Resolver: r, HTTPPort: port(t, server.Listener.Addr())}
		check(t, validate(t, v, acme.HTTP01), acme.Connection, "private or special")
	}
}

func TestHTTP01SaysWhoIsAsking(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.UserAgent() != "vidimusd/test" || !strings.HasPrefix(r.Host, "www.example.org") {
			t.Errorf("asked as %q, for %q", r.UserAgent(), r.Host)
		}
		fmt.Fprint(w, keyAuthorization)
	}))
	defer server.Close()
	v := &Validator{Resolver: Loopback{}, Networks: loopback, HTTPPort: port(t, server.Listener.Addr()), UserAgent: "vidimusd/test"}
	check(t, validate(t, v, acme.HTTP01), "", "")
}
