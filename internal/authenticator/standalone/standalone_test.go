package standalone

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"vidimus/internal/authenticator"
)

func freePort(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func TestServesOnlyKnownTokens(t *testing.T) {
	s := &Server{Port: freePort(t)}
	if err := s.Present(t.Context(), []authenticator.Challenge{{Token: "tok", KeyAuthorization: "tok.thumb"}}); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"/.well-known/acme-challenge/tok": "200 tok.thumb", "/.well-known/acme-challenge/other": "404",
		"/": "404", "/.well-known/acme-challenge/": "404"} {
		resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d%s", s.Port, path))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if got := fmt.Sprint(resp.StatusCode, " ", string(body)); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	if err := s.Cleanup(context.Background()); err != nil {
		t.Error(err)
	}
	if l, err := net.Listen("tcp", fmt.Sprintf(":%d", s.Port)); err != nil {
		t.Errorf("the port is not free at once: %v", err)
	} else {
		l.Close()
	}
}

func TestPortInUseSaysWhatToDo(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := &Server{Port: l.Addr().(*net.TCPAddr).Port, Address: "127.0.0.1"}
	err = s.Present(t.Context(), nil)
	if err == nil || !strings.Contains(err.Error(), "already in use") || !strings.Contains(err.Error(), "--webroot") {
		t.Error(err)
	}
	if err := s.Cleanup(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestOrdersShareAPort(t *testing.T) {
	ports, number := new(Ports), freePort(t)
	a, b := &Server{Port: number, Ports: ports}, &Server{Port: number, Ports: ports}
	present := func(s *Server, token string) {
		if err := s.Present(t.Context(), []authenticator.Challenge{{Token: token, KeyAuthorization: token + ".thumb"}}); err != nil {
			t.Fatal(err)
		}
	}
	present(a, "one")
	present(b, "two")
	if err := a.Cleanup(t.Context()); err != nil {
		t.Fatal(err)
	}
	for token, want := range map[string]int{"one": 404, "two": 200} {
		resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/.well-known/acme-challenge/%s", number, token))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", token, resp.StatusCode, want)
		}
	}
	if err := b.Cleanup(t.Context()); err != nil {
		t.Fatal(err)
	}
	if l, err := net.Listen("tcp", fmt.Sprintf(":%d", number)); err != nil {
		t.Errorf("the port stays open: %v", err)
	} else {
		l.Close()
	}
}
