package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"vidimus/internal/requestid"
	"vidimus/internal/store"
)

func get(t *testing.T, client *http.Client, url string) (status int, body string) {
	t.Helper()
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

func TestMetricsCountByRouteAndNotByPath(t *testing.T) {
	c := readConfig(t, initAt(t, t.TempDir()))
	c.ListenMetrics = "127.0.0.1:0"
	s := open(t, c)
	client, _ := served(t, s)
	for i := range 3 {
		get(t, client, s.at(fmt.Sprintf("/acme/main/renewal-info/%d", i)))
	}
	resp, err := client.Post(s.at("/acme/main/order/7"), "application/jose+json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	url, text := "http://"+s.listen.Metrics.Addr().String()+"/metrics", ""
	for !strings.Contains(text, "vidimusd_crls_late") { // which are counted in the background
		_, text = get(t, client, url)
	}
	for _, want := range []string{
		`vidimusd_requests_total{code="400",route="/acme/{dir}/renewal-info/{id}"} 3`,
		`vidimusd_requests_total{code="400",route="/acme/{dir}/order/{id}"} 1`,
		`vidimusd_request_seconds_count{route="/acme/{dir}/order/{id}"} 1`,
		`vidimusd_problems_total{type="malformed"} 4`,
		`vidimusd_build_info{`,
		`vidimusd_validations{state="running"} 0`,
		`vidimusd_events_total{action="certificate.issued",result="done"} 1`, // its own
		`vidimusd_database_changes_total `,
		`vidimusd_certificates{state="unexpired"} `,
		`vidimusd_crls_late 0`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing in:\n%s", want, text)
		}
	}
	if status, _ := get(t, client, s.at("/metrics")); status != http.StatusNotFound {
		t.Errorf("/metrics at the ACME listener: %d; want not found", status)
	}
}

func TestReadyzFailsWithoutDatabaseAndWhileStopping(t *testing.T) {
	c := readConfig(t, initAt(t, t.TempDir()))
	c.ListenMetrics = "127.0.0.1:0"
	s := open(t, c)
	ready := make(chan bool, 1)
	s.Supervise(Supervisor{Tell: func(state string) {
		if state == "READY=1" {
			ready <- true
		}
	}})
	client, _ := served(t, s)
	<-ready // what it does at the start needs the database
	url := "http://" + s.listen.Metrics.Addr().String()
	if status, body := get(t, client, url+"/readyz"); status != http.StatusOK {
		t.Errorf("at first: %d, %s", status, body)
	}
	s.store.Close()
	s.health.mu.Lock()
	s.health.at = time.Time{} // the answer kept is old
	s.health.mu.Unlock()
	if status, body := get(t, client, url+"/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "database") {
		t.Errorf("without database: %d, %s", status, body)
	}
	if status, _ := get(t, client, url+"/healthz"); status != http.StatusOK {
		t.Errorf("healthz without database: %d", status)
	}
	s.stop()
	if status, body := get(t, client, url+"/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "stopping") {
		t.Errorf("while stopping: %d, %s", status, body)
	}
}

func TestAPanicIsAnsweredAndLogged(t *testing.T) {
	s := open(t, readConfig(t, initAt(t, t.TempDir())))
	var log lines
	s.log = slog.New(requestid.Log(slog.NewTextHandler(&log, nil)))
	srv := s.httpServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/late" {
			w.Write(bytes.Repeat([]byte("x"), 10_000))
		}
		panic("nil map")
	}))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go srv.Serve(l)
	defer srv.Close()
	resp, err := http.Get("http://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if id := resp.Header.Get(requestid.Header); resp.StatusCode != 500 || !strings.Contains(string(body), id) || !strings.Contains(log.String(), "nil map") {
		t.Errorf("%s %s\n%s", resp.Status, body, log.String())
	}
	resp, err = http.Get("http://" + l.Addr().String() + "/late")
	if err == nil {
		_, err = io.ReadAll(resp.Body)
		resp.Body.Close()
	}
	if err == nil {
		t.Error("half an answer looks whole")
	}
}

// A client that is slow, or sends too much, is cut off or refused, and nothing is
// written for it.
func TestSlowAndOversizedRequestsEnd(t *testing.T) {
	s := open(t, readConfig(t, initAt(t, t.TempDir())))
	client, _ := served(t, s)
	before := accounts(t, s.store)

	resp, err := client.Post(s.at("/acme/main-open/new-account"), "application/jose+json", bytes.NewReader(make([]byte, 1<<20)))
	if err == nil {
		resp.Body.Close()
		if resp.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("a body of a MiB: %s", resp.Status)
		}
	} else if !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a body of a MiB: %v", err)
	}

	srv := s.httpServer(s.acme(s.pages()))
	srv.ReadHeaderTimeout, srv.ReadTimeout = 50*time.Millisecond, 100*time.Millisecond
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go srv.Serve(l)
	defer srv.Close()
	for name, text := range map[string]string{
		"header": "POST /acme/main-open/new-account HTTP/1.1\r\nHost: x\r\nX-Slow: ",
		"body": "POST /acme/main-open/new-account HTTP/1.1\r\nHost: x\r\nContent-Type: application/jose+json\r\n" +
			"Content-Length: 1000\r\n\r\n{",
		"long header": "GET / HTTP/1.1\r\nX-Long: " + strings.Repeat("x", 40<<10) + "\r\n\r\n",
	} {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
		c.SetReadDeadline(time.Now().Add(30 * time.Second)) // much later than any of the server's
		answer, err := io.ReadAll(c)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("slow %s: the connection is kept open", name)
		}
		if strings.HasPrefix(string(answer), "HTTP/1.1 2") {
			t.Errorf("slow %s: %.40q", name, answer)
		}
		c.Close()
	}
	if after := accounts(t, s.store); after != before {
		t.Errorf("%d accounts before, %d after", before, after)
	}
}

func accounts(t *testing.T, db *store.Store) (n int64) {
	t.Helper()
	for {
		switch _, err := db.Account(t.Context(), n+1); {
		case errors.Is(err, store.ErrNotFound):
			return n
		case err != nil:
			t.Fatal(err)
		}
		n++
	}
}

func TestOnlyBalancersSayWhereTheClientIs(t *testing.T) {
	for _, tt := range []struct {
		name, network, send, want string // want: in the log, or "" for no answer
	}{
		{"v1 from a balancer", "127.0.0.0/8", "PROXY TCP4 192.0.2.7 192.0.2.1 4711 443\r\n", "from=192.0.2.7:4711"},
		{"v2 from a balancer", "127.0.0.0/8", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x08\xc0\x00\x02\x01\x12\x67\x01\xbb", "from=192.0.2.8:4711"},
		{"none from a balancer", "127.0.0.0/8", "", ""},
		{"v1 from elsewhere", "192.0.2.0/24", "PROXY TCP4 192.0.2.7 192.0.2.1 4711 443\r\n", ""},
		{"none from elsewhere", "192.0.2.0/24", "", "from=127.0.0.1:"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := readConfig(t, initAt(t, t.TempDir()))
			c.Balancers = []netip.Prefix{netip.MustParsePrefix(tt.network)}
			s := open(t, c)
			var log lines
			s.log = slog.New(slog.NewTextHandler(&log, nil))
			client, _ := served(t, s)
			transport := client.Transport.(*http.Transport)
			transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				c, err := new(net.Dialer).DialContext(ctx, network, addr)
				if err == nil {
					_, err = io.WriteString(c, tt.send)
				}
				return c, err
			}
			req, err := http.NewRequestWithContext(t.Context(), "GET", s.at("/acme/none/directory"), nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Forwarded-For", "198.51.100.9")
			resp, err := client.Do(req)
			if err == nil {
				resp.Body.Close()
			}
			if (err == nil) != (tt.want != "") || !strings.Contains(log.String(), tt.want) || strings.Contains(log.String(), "198.51.100.9") {
				t.Errorf("%v\n%s", err, log.String())
			}
		})
	}
}

func TestReloadReadsTheTLSFilesAgainAndKeepsTheOldOnAMistake(t *testing.T) {
	path := initAt(t, t.TempDir())
	var first, second []byte // two certificates of its own, with their keys
	for i, to := range []*[]byte{&first, &second} {
		c := readConfig(t, path)
		c.URL = fmt.Sprintf("https://acme%d.example.org", i)
		open(t, c).Close()
		data, err := os.ReadFile(filepath.Join(filepath.Dir(path), "vidimusd-tls.pem"))
		if err != nil {
			t.Fatal(err)
		}
		*to = data
	}
	file := filepath.Join(t.TempDir(), "tls.pem")
	write := func(data []byte) {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(first)
	c := readConfig(t, path)
	c.TLS.Certificate, c.TLS.Key = file, file
	s := open(t, c)
	told := make(chan string, 10)
	reload := make(chan os.Signal, 1)
	s.Supervise(Supervisor{Watchdog: 20 * time.Millisecond, Reload: reload, Tell: func(state string) {
		select {
		case told <- state:
		case <-t.Context().Done(): // nobody listens any more
		}
	}})
	_, stop := served(t, s)
	name := func() string {
		c, err := tls.Dial("tcp", s.listen.ACME.Addr().String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].DNSNames[0]
	}
	heard := func(want string) {
		t.Helper()
		for got := range told {
			if strings.HasPrefix(got, want) {
				return
			}
		}
	}
	heard("READY=1")
	heard("WATCHDOG=1")
	for _, tt := range []struct {
		data []byte
		want string
	}{{first, "acme0.example.org"}, {second, "acme1.example.org"}, {[]byte("no PEM"), "acme1.example.org"}} {
		write(tt.data)
		reload <- syscall.SIGHUP
		heard("RELOADING=1\nMONOTONIC_USEC=")
		heard("READY=1")
		if got := name(); got != tt.want {
			t.Errorf("it serves with a certificate of %s; want %s", got, tt.want)
		}
	}
	go stop()
	heard("STOPPING=1")
}
