package job

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/url"
	"testing"
	"time"

	"vidimus/internal/store/postgrestest"
)

// A database that hangs while the queue is started, as here at its first LISTEN, doesn't
// hold up a server that is told to stop.
func TestAStartThatHangsIsGivenUp(t *testing.T) {
	t.Parallel()
	u, err := url.Parse(postgrestest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	database := u.Host
	u.Host = hangAt(t, database, "LISTEN")
	q, err := New(open(t, u.String()), slog.New(slog.DiscardHandler), Work{Name: "work", Every: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := q.Start(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it started, or failed otherwise: %v", err)
	}
	q.Stop(t.Context())
}

// hangAt passes connections on to an address, but nothing more of a client that has sent
// a word. It returns its own address.
func hangAt(t *testing.T, to, word string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				near.Close()
				return
			}
			go io.Copy(near, far)
			go func() {
				defer far.Close()
				defer near.Close()
				b, hangs := make([]byte, 64<<10), false
				for {
					n, err := near.Read(b)
					if err != nil {
						return
					}
					hangs = hangs || bytes.Contains(b[:n], []byte(word))
					if !hangs {
						far.Write(b[:n])
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}
