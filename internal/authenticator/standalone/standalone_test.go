package standalone

import (
	"context"
	"errors"
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

// TestOrdersOfOtherAddressesWait is about lineages with another --http-01-address, which
// are renewed at the same time.
func TestOrdersOfOtherAddressesWait(t *testing.T) {
	ports, number := new(Ports), freePort(t)
	one, all, other := &Server{Port: number, Address: "127.0.0.1", Ports: ports}, &Server{Port: number, Ports: ports}, &Server{Port: number, Address: "127.0.0.1", Ports: ports}
	present := func(s *Server, token string) {
		t.Helper()
		if err := s.Present(t.Context(), []authenticator.Challenge{{Token: token, KeyAuthorization: token + ".thumb"}}); err != nil {
			t.Fatal(err)
		}
	}
	present(one, "one")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := all.Present(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("who waits is not interrupted: %v", err)
	}
	waited := make(chan error)
	go func() { waited <- all.Present(t.Context(), nil) }()
	if err := one.Cleanup(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-waited; err != nil {
		t.Fatal(err)
	}
	present(other, "other")
	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/.well-known/acme-challenge/other", number))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("status %d", resp.StatusCode)
	}
	for _, s := range []*Server{all, other} {
		if err := s.Cleanup(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if len(ports.open) != 0 {
		t.Errorf("open: %v", ports.open)
	}
}

// TestPortIsFreeAtOnce opens and closes one as fast as it goes.
func TestPortIsFreeAtOnce(t *testing.T) {
	number := freePort(t)
	for range 200 {
		s := &Server{Port: number, Address: "127.0.0.1"}
		if err := s.Present(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if err := s.Cleanup(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
