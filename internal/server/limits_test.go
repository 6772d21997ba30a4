package server

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// The certificate is renewed while the server runs, when two thirds of its life are
// over.
func TestItsOwnCertificateIsRenewedWhileItServes(t *testing.T) {
	s := open(t, readConfig(t, initAt(t, t.TempDir())))
	client, _ := served(t, s)
	serial := func() string {
		client.CloseIdleConnections()
		resp, err := client.Get(s.at("/healthz"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.TLS.PeerCertificates[0].SerialNumber.Text(16)
	}
	first := serial()
	leaf := s.own.current.Load().Leaf
	third := leaf.NotAfter.Sub(leaf.NotBefore) / 3
	for _, tt := range []struct {
		left  time.Duration
		renew bool
	}{{third + time.Hour, false}, {third - time.Hour, true}} {
		s.own.now = func() time.Time { return leaf.NotAfter.Add(-tt.left) }
		if err := s.own.keepFresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if renewed := serial() != first; renewed != tt.renew {
			t.Errorf("with %s left it is renewed: %v", tt.left, renewed)
		}
	}
}

// Beyond max_connections, connections wait until another is over.
func TestConnectionsAreBounded(t *testing.T) {
	c := readConfig(t, initAt(t, t.TempDir()))
	c.MaxConnections = 2
	s := open(t, c)
	served(t, s)
	dial := func() *tls.Conn {
		raw, err := net.Dial("tcp", s.listen.ACME.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { raw.Close() })
		return tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	}
	first, second, third := dial(), dial(), dial()
	for _, c := range []*tls.Conn{first, second} {
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
	}
	shaken := make(chan error, 1)
	go func() { shaken <- third.Handshake() }()
	select {
	case err := <-shaken:
		t.Fatalf("a third connection: %v; want it to wait", err)
	case <-time.After(100 * time.Millisecond):
	}
	first.Close()
	if err := <-shaken; err != nil {
		t.Errorf("when there is room again: %v", err)
	}
}

// So they are where there is no TLS.
func TestConnectionsAreBoundedAtTheOtherListeners(t *testing.T) {
	c := readConfig(t, initAt(t, t.TempDir()))
	c.MaxConnections, c.ListenHTTP, c.ListenMetrics = 2, "127.0.0.1:0", "127.0.0.1:0"
	s := open(t, c)
	served(t, s)
	for _, l := range []net.Listener{s.listen.HTTP, s.listen.Metrics} {
		var kept []net.Conn
		for range c.MaxConnections {
			conn := ask(t, l.Addr())
			if answer, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.HasPrefix(answer, "HTTP/1.1 200") {
				t.Fatalf("%s answers %q, %v", l.Addr(), answer, err)
			}
			kept = append(kept, conn)
		}
		more := ask(t, l.Addr())
		more.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if n, err := more.Read(make([]byte, 1)); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("%s answers a third connection", l.Addr())
		}
		kept[0].Close()
		more.SetReadDeadline(time.Now().Add(30 * time.Second))
		if _, err := more.Read(make([]byte, 1)); err != nil {
			t.Errorf("%s, when there is room again: %v", l.Addr(), err)
		}
	}
}

// ask sends a request over a new connection, which stays open.
func ask(t *testing.T, a net.Addr) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", a.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return c
}

// A client that opens and resets streams without end (CVE-2023-44487) keeps no more
// handlers busy than it may have streams, and is cut off.
func TestRapidResetsEndTheConnection(t *testing.T) {
	s := open(t, readConfig(t, initAt(t, t.TempDir())))
	release := make(chan struct{})
	running := make(chan struct{}, 100_000)
	srv := s.httpServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		running <- struct{}{}
		<-release
	}))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv.TLSConfig = s.tls
	go srv.ServeTLS(l, "", "")
	defer srv.Close()
	defer close(release)

	conn, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ended := make(chan struct{})
	go func() { io.Copy(io.Discard, conn); close(ended) }()
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	f := http2.NewFramer(conn, nil)
	if err := f.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	block := headers(t)
	conn.SetWriteDeadline(time.Now().Add(time.Minute)) // much later than it takes
	for n := uint32(0); err == nil && n < 5_000; n++ { // until it is cut off, or all is on its way
		id := 2*n + 1
		if err = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndHeaders: true, EndStream: true}); err == nil {
			err = f.WriteRSTStream(id, http2.ErrCodeCancel)
		}
	}
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Error("the connection is kept open")
	}
	if n := len(running); n == 0 || n > 250 {
		t.Errorf("%d handlers run for one connection; want some, and no more than it may have streams", n)
	}
}

func headers(t *testing.T) []byte {
	t.Helper()
	var b writer
	enc := hpack.NewEncoder(&b)
	for _, h := range [][2]string{{":method", "GET"}, {":path", "/"}, {":scheme", "https"}, {":authority", "acme.example.org"}} {
		if err := enc.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]}); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

type writer []byte

func (w *writer) Write(p []byte) (int, error) { *w = append(*w, p...); return len(p), nil }
