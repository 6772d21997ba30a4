package config

import (
	"fmt"
	"net/netip"
	"os"
)

// Limits and default of Operating.MaxConnections.
const (
	MinConnections     = 16
	MaxConnections     = 1_000_000
	DefaultConnections = 8192
)

// Operating is how the server is run: what it shows to those who watch it, and what
// stands in front of it.
type Operating struct {
	State          string         `yaml:"state"`           // folder of what the server keeps for itself; default that of the database's file, with PostgreSQL that of the configuration
	ListenMetrics  string         `yaml:"listen_metrics"`  // HOST:PORT for /metrics, /healthz and /readyz, without TLS; "" for none
	MaxConnections int            `yaml:"max_connections"` // at each listener, 16 to 1,000,000; default 8192
	ProxyProtocol  []string       `yaml:"proxy_protocol"`  // networks of the balancers that send the PROXY protocol
	Balancers      []netip.Prefix `yaml:"-"`               // the same, read
}

func (o *Operating) complete(r *reader) {
	if o.State != "" {
		o.State = r.folder(o.State)
		if info, err := os.Stat(o.State); err != nil || !info.IsDir() {
			r.add("state", "there is no folder %s", o.State)
		}
	}
	switch n := o.MaxConnections; {
	case n == 0:
		o.MaxConnections = DefaultConnections
	case n < MinConnections || n > MaxConnections:
		r.add("max_connections", "%d is out of range: %d to %d", n, MinConnections, MaxConnections)
	}
	for i, s := range o.ProxyProtocol {
		at := fmt.Sprintf("proxy_protocol.%d", i)
		p, err := netip.ParsePrefix(s)
		switch {
		case err != nil:
			r.add(at, "%q is not a network such as 192.0.2.10/32", s)
		case p.Bits() == 0:
			r.add(at, "%q is everybody; name the balancers only, for who is named here may claim any address", s)
		default:
			o.Balancers = append(o.Balancers, p.Masked())
		}
	}
}
