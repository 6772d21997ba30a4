package validation

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"vidimus/internal/acme"
)

// raw answers each connection with some bytes.
func raw(t *testing.T, answer string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(c, answer)
			c.Close()
		}
	}()
	return l
}

func TestNothingIsQuotedOfPrivateAddresses(t *testing.T) {
	const secret = "hunter2"
	for name, answer := range map[string]string{
		"a body":              "HTTP/1.1 200 OK\r\n\r\n" + secret,
		"a status":            "HTTP/1.1 418 " + secret + "\r\n\r\n",
		"no HTTP":             "SSH-2.0-" + secret + "\r\n",
		"a header":            "HTTP/1.1 200 OK\r\n" + secret + "\r\n\r\n",
		"a length":            "HTTP/1.1 200 OK\r\nContent-Length: " + secret + "\r\n\r\n",
		"an encoding":         "HTTP/1.1 200 OK\r\nTransfer-Encoding: " + secret + "\r\n\r\n",
		"a chunk":             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + secret + "\r\n",
		"a redirect":          "HTTP/1.1 302 Found\r\nLocation: ftp://" + secret + "/\r\n\r\n",
		"a broken redirect":   "HTTP/1.1 302 Found\r\nLocation: http://[" + secret + "/\r\n\r\n",
		"a redirect's host":   "HTTP/1.1 302 Found\r\nLocation: http://" + secret + ".example.org/\r\n\r\n",
		"a redirect's user":   "HTTP/1.1 302 Found\r\nLocation: http://" + secret + "@www.example.org/\r\n\r\n",
		"a redirect's scheme": "HTTP/1.1 302 Found\r\nLocation: " + secret + ":x\r\n\r\n",
		"a redirect's path":   "HTTP/1.1 302 Found\r\nLocation: /" + secret + "\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			v := &Validator{Resolver: Loopback{}, Networks: loopback, HTTPPort: port(t, raw(t, answer).Addr())}
			problem := validate(t, v, acme.HTTP01)
			if problem == nil {
				t.Fatal("it was accepted")
			}
			if strings.Contains(problem.Detail, secret) {
				t.Errorf("the applicant is told %s", problem.Detail)
			}
			t.Log(problem.Detail)
		})
	}
}

// What everybody can reach is quoted, which helps whoever looks for a mistake.
func TestPublicAnswersAreQuoted(t *testing.T) {
	a := &attempt{Validator: &Validator{}}
	from, at := &url.URL{Scheme: "http", Host: "www.example.org"}, &url.URL{Scheme: "http", Host: "other.example.org"}
	said := func() string {
		return fmt.Sprint(a.quoted("Hello"), a.status(&http.Response{Status: "418 Teapot", StatusCode: 418}), a.shown(from, at), a.target(at), a.unquoted(errors.New("malformed")))
	}
	a.connected(&net.TCPAddr{IP: net.IPv4(9, 9, 9, 9)})
	if got, want := said(), `"Hello"418 Teapothttp://other.example.orghttp://other.example.orgmalformed`; got != want {
		t.Errorf("said %s; want %s", got, want)
	}
	for _, ip := range []net.IP{net.IPv4(10, 0, 0, 1), net.ParseIP("fd00::1")} {
		a.connected(&net.TCPAddr{IP: ip})
		a.connected(&net.TCPAddr{IP: net.IPv4(9, 9, 9, 9)}) // where a redirect led
		if got := said(); strings.Contains(got, "Hello") || strings.Contains(got, "other.example") || strings.Contains(got, "Teapot") || strings.Contains(got, "malformed") {
			t.Errorf("of an answer that may come from %s it says %s", ip, got)
		}
	}
}

func TestTheLengthOfAPrivateAnswerIsTold(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "Hello") }))
	defer server.Close()
	v := &Validator{Resolver: Loopback{}, Networks: loopback, HTTPPort: port(t, server.Listener.Addr())}
	check(t, validate(t, v, acme.HTTP01), acme.Unauthorized, "but with 5 bytes that are something else")
}
