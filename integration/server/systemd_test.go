package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mholt/acmez/v3/acme"

	"vidimus/integration/peer"
)

// initialised makes a CA and a configuration with the listeners given, in a new
// folder, and returns the program and the configuration's path.
func initialised(t *testing.T, url, listen, listenHTTP string) (vidimusd, config string) {
	t.Helper()
	vidimusd = peer.Build(t, "vidimusd")
	dir := filepath.Join(t.TempDir(), "etc")
	peer.Must(t, exec.Command(vidimusd, "init", "--dir", dir, "--url", url, "--listen", listen, "--listen-http", listenHTTP))
	return vidimusd, filepath.Join(dir, "vidimusd.yaml")
}

// systemd hands over the sockets, hears when the server is ready, reloads and stops.
func TestSystemdHandsOverSocketsAndHearsOfIt(t *testing.T) {
	activate := peer.Need(t, "systemd-socket-activate")
	secure, plain := fmt.Sprintf("127.0.0.1:%d", peer.FreePort(t)), fmt.Sprintf("127.0.0.1:%d", peer.FreePort(t))
	// What the configuration says of addresses must not matter: they are on no machine.
	vidimusd, config := initialised(t, "https://"+secure, "192.0.2.1:443", "192.0.2.1:80")

	notify := filepath.Join(t.TempDir(), "notify")
	told, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notify, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer told.Close()
	told.SetReadDeadline(time.Now().Add(time.Minute))
	heard := func(want string) {
		t.Helper()
		for buf := make([]byte, 4096); ; {
			n, err := told.Read(buf)
			if err != nil {
				t.Fatalf("waiting for %s: %v", want, err)
			}
			if strings.HasPrefix(string(buf[:n]), want) {
				return
			}
		}
	}
	cmd := exec.Command(activate, "-l", secure, "-l", plain, "--fdname=acme:http", "-E", "NOTIFY_SOCKET="+notify, "-E", "WATCHDOG_USEC=100000",
		vidimusd, "serve", "--config", config)
	peer.Start(t, cmd)

	root, err := os.ReadFile(filepath.Join(filepath.Dir(config), "ca", "root.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root)
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	defer client.CloseIdleConnections()
	peer.Eventually(t, "it listens", func() bool {
		c, err := net.Dial("tcp", secure)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	for _, url := range []string{"https://" + secure + "/acme/main/directory", "http://" + plain + "/crl/main.crl"} {
		resp, err := client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", url, resp.Status)
		}
	}
	heard("READY=1")
	heard("WATCHDOG=1")
	cmd.Process.Signal(syscall.SIGHUP) // systemd-socket-activate has become vidimusd
	heard("RELOADING=1")
	heard("READY=1")
	cmd.Process.Signal(syscall.SIGTERM)
	heard("STOPPING=1")
	if err := cmd.Wait(); err != nil {
		t.Errorf("its end: %v", err)
	}
}

// hanging is an authorization whose validation waits for a web server that accepts
// connections and says nothing.
func hanging(t *testing.T, v *peer.Vidimusd) (c *acme.Client, a acme.Account, authz string) {
	t.Helper()
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", v.HTTPPort))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	called := make(chan struct{})
	go func() {
		conn, err := l.Accept()
		if err == nil {
			close(called)
			defer conn.Close()
			<-t.Context().Done()
		}
	}()
	root, err := os.ReadFile(v.CABundle)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root)
	c = &acme.Client{Directory: v.DirectoryOpen, HTTPClient: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if a, err = c.NewAccount(t.Context(), acme.Account{PrivateKey: key, TermsOfServiceAgreed: true}); err != nil {
		t.Fatal(err)
	}
	o, err := c.NewOrder(t.Context(), a, acme.Order{Identifiers: []acme.Identifier{{Type: "dns", Value: "hang.uni.test"}}})
	if err != nil {
		t.Fatal(err)
	}
	az, err := c.GetAuthorization(t.Context(), a, o.Authorizations[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, ch := range az.Challenges {
		if ch.Type == "http-01" {
			if _, err := c.InitiateChallenge(t.Context(), a, ch); err != nil {
				t.Fatal(err)
			}
		}
	}
	<-called
	return c, a, o.Authorizations[0]
}

// When the server is told to stop, a poll that it holds back is answered at once; a
// second signal ends the server without waiting for the validation.
func TestAHeldPollIsAnsweredWhenTheServerStops(t *testing.T) {
	v := peer.StartVidimusd(t)
	client, account, authz := hanging(t, v)
	type result struct {
		status string
		err    error
	}
	polled := make(chan result, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		a, err := client.GetAuthorization(ctx, account, authz)
		polled <- result{a.Status, err}
	}()
	select {
	case r := <-polled:
		t.Fatalf("the poll was not held back: %+v", r)
	case <-time.After(300 * time.Millisecond): // the server has the request by now
	}
	start := time.Now()
	v.Cmd.Process.Signal(syscall.SIGTERM)
	r := <-polled
	if took := time.Since(start); r.err != nil || r.status != "pending" || took > 3*time.Second {
		t.Errorf("after %s: %+v; want pending at once", took, r)
	}
	v.Cmd.Process.Signal(syscall.SIGTERM)
	var exit *exec.ExitError
	err := v.Cmd.Wait()
	if took := time.Since(start); !errors.As(err, &exit) || took > 5*time.Second {
		t.Errorf("a second signal: %v after %s; want an end at once", err, took)
	}
}
