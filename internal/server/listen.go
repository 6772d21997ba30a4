package server

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/pires/go-proxyproto"
	"golang.org/x/net/netutil"

	"vidimus/internal/config"
)

// Listeners are where a server is reached.
type Listeners struct {
	ACME    net.Listener
	HTTP    net.Listener // nil without listen_http
	Metrics net.Listener // nil without listen_metrics

	Certificates net.Listener // for people who log in by certificate; nil when nobody does
}

// Listen opens the listeners that the configuration names, but for those that systemd
// hands over: sockets with FileDescriptorName acme, http, metrics and certificates.
func Listen(c *config.Config) (l Listeners, err error) {
	inherited, err := activation.ListenersWithNames()
	if err != nil {
		return l, fmt.Errorf("taking over systemd's sockets: %w", err)
	}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	for _, x := range []struct {
		name, address string
		to            *net.Listener
	}{{"acme", c.Listen, &l.ACME}, {"http", c.ListenHTTP, &l.HTTP}, {"metrics", c.ListenMetrics, &l.Metrics}, {"certificates", c.ListenCertificates(), &l.Certificates}} {
		if given := inherited[x.name]; len(given) > 0 {
			if len(given) > 1 {
				return l, fmt.Errorf("systemd hands over %d sockets named %q; let the .socket unit have one ListenStream", len(given), x.name)
			}
			*x.to = given[0]
			delete(inherited, x.name)
		} else if x.address != "" {
			if *x.to, err = listen(x.address); err != nil {
				return l, err
			}
		}
	}
	for name := range inherited {
		return l, fmt.Errorf(`systemd hands over a socket named %q; set FileDescriptorName in the .socket unit to acme, http, metrics or certificates`, name)
	}
	return l, nil
}

func listen(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("another program listens on %s; stop it, or choose another address", address)
	}
	if errors.Is(err, syscall.EACCES) {
		return nil, fmt.Errorf("whoever runs this may not listen on %s; let systemd do it (contrib/systemd), or give vidimusd CAP_NET_BIND_SERVICE", address)
	}
	return l, err
}

func (l Listeners) close() error {
	var errs []error
	for _, x := range []net.Listener{l.ACME, l.HTTP, l.Metrics, l.Certificates} {
		if x == nil {
			continue
		}
		if err := x.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// proxyHeaderTimeout is how long a balancer may take to say for whom it connects.
const proxyHeaderTimeout = 5 * time.Second

// guarded bounds the connections that l has at once. Connections from the balancers
// must begin with a PROXY protocol header (version 1 or 2), which says where the client
// is; from anywhere else such a header is taken for what it is, no TLS and no HTTP.
func guarded(l net.Listener, o *config.Operating) net.Listener {
	l = limited(l, o)
	if len(o.Balancers) == 0 {
		return l
	}
	return &proxyproto.Listener{Listener: l, ReadHeaderTimeout: proxyHeaderTimeout,
		ConnPolicy: func(c proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
			if from(c.Upstream, o.Balancers) {
				return proxyproto.REQUIRE, nil
			}
			return proxyproto.SKIP, nil
		}}
}

// limited bounds the connections that l has at once.
func limited(l net.Listener, o *config.Operating) net.Listener {
	if o.MaxConnections == 0 {
		return l
	}
	return netutil.LimitListener(l, o.MaxConnections)
}

func from(a net.Addr, networks []netip.Prefix) bool {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return false
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	for _, n := range networks {
		if n.Contains(ip) {
			return true
		}
	}
	return false
}
