package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// webServer starts nginx, or a small server of ours where there is no nginx, with
// the certificate in live. It returns the command that makes it take up a new one.
func (d *demo) webServer(port int, live string) (reload string, err error) {
	address := fmt.Sprintf("127.0.0.1:%d", port)
	cert, key := filepath.Join(live, "fullchain.pem"), filepath.Join(live, "privkey.pem")
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		nginx = "/usr/sbin/nginx"
	}
	if _, err := os.Stat(nginx); err != nil {
		self, err := os.Executable()
		if err != nil {
			return "", err
		}
		if err := d.start("https://"+address, self, "https-server", address, cert, key); err != nil {
			return "", err
		}
		return fmt.Sprintf("kill -HUP %d", d.started[len(d.started)-1].Process.Pid), nil
	}
	conf := filepath.Join(d.dir, "nginx.conf")
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;"
	}
	text := fmt.Sprintf(`%s
daemon off;
pid %[2]s/nginx.pid;
error_log stderr crit;
events { }
http {
	access_log off;
	client_body_temp_path %[2]s/t1; proxy_temp_path %[2]s/t2; fastcgi_temp_path %[2]s/t3; uwsgi_temp_path %[2]s/t4; scgi_temp_path %[2]s/t5;
	server {
		listen %[3]s ssl;
		ssl_certificate %[4]s;
		ssl_certificate_key %[5]s;
		location / { return 200 "hello\n"; }
	}
}
`, user, d.dir, address, cert, key)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		return "", err
	}
	return nginx + " -s reload -c " + conf, d.start("https://"+address, nginx, "-c", conf)
}

// serveHTTPS serves the certificate in the files, and reads them again on SIGHUP.
func serveHTTPS(address, cert, key string) error {
	var current atomic.Pointer[tls.Certificate]
	load := func() error {
		c, err := tls.LoadX509KeyPair(cert, key)
		if err == nil {
			current.Store(&c)
		}
		return err
	}
	if err := load(); err != nil {
		return err
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	go func() {
		for range hup {
			if err := load(); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}
	}()
	s := &http.Server{Addr: address, ReadHeaderTimeout: 5 * time.Second,
		Handler:   http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello\n") }),
		TLSConfig: &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return current.Load(), nil }}}
	return s.ListenAndServeTLS("", "")
}

// watcher connects to the web server as a browser would, and notes what it serves.
type watcher struct {
	address string
	roots   *x509.CertPool

	stop      chan struct{}
	done      sync.WaitGroup
	good, bad int
}

func newWatcher(address, root string) (*watcher, error) {
	data, err := os.ReadFile(root)
	if err != nil {
		return nil, err
	}
	w := &watcher{address: address, roots: x509.NewCertPool()}
	w.roots.AppendCertsFromPEM(data)
	return w, nil
}

// get makes one request on a new connection, verified for each of the names, and
// returns the certificate's serial number.
func (w *watcher) get() (serial string, err error) {
	var leaf *x509.Certificate
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", w.address)
		},
		TLSClientConfig: &tls.Config{RootCAs: w.roots}}}
	for name := range strings.SplitSeq(names, ",") {
		resp, err := client.Get("https://" + name + "/")
		if err != nil {
			return "", err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if err != nil {
			return "", err
		}
		leaf = resp.TLS.PeerCertificates[0]
	}
	return fmt.Sprintf("%x", leaf.SerialNumber), nil
}

// wait returns what is served once that is another certificate than old.
func (w *watcher) wait(ctx context.Context, old string) (serial string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		if serial, err = w.get(); err == nil && serial != old {
			return serial, nil
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("%s serves no new certificate after 10 s (%v)", w.address, err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// begin makes requests without pause until end, which tells how many went well.
func (w *watcher) begin() {
	w.stop = make(chan struct{})
	w.done.Go(func() {
		for {
			select {
			case <-w.stop:
				return
			default:
			}
			if _, err := w.get(); err != nil {
				w.bad++
				fmt.Fprintln(os.Stderr, "   failed:", err)
				continue
			}
			w.good++
		}
	})
}

func (w *watcher) end() (good, bad int) {
	close(w.stop)
	w.done.Wait()
	return w.good, w.bad
}

// listed checks that the CRL at url names the serial number.
func listed(url, serial string) error {
	resp, err := http.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	der, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	crl, err := x509.ParseRevocationList(der)
	if err != nil {
		return fmt.Errorf("%s: %w", url, err)
	}
	for _, e := range crl.RevokedCertificateEntries {
		if fmt.Sprintf("%x", e.SerialNumber) == serial {
			return nil
		}
	}
	return fmt.Errorf("%s doesn't name %s", url, serial)
}
