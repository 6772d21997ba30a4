package config

import "net"

// completeAddresses looks at where the server listens.
func (c *Config) completeAddresses(r *reader) {
	r.address("listen", c.Listen, true)
	r.address("listen_http", c.ListenHTTP, false)
	r.address("listen_metrics", c.ListenMetrics, false)
	all := []struct{ key, value string }{{"listen", c.Listen}, {"listen_http", c.ListenHTTP}, {"listen_metrics", c.ListenMetrics}}
	for i, a := range all {
		for _, b := range all[:i] {
			if clash(a.value, b.value) {
				r.add(a.key, "%s is taken by %s (%s); give each a port of its own", a.value, b.key, b.value)
			}
		}
	}
}

// clash tells whether two listeners can't have their addresses at the same time, as far
// as that can be told without looking up names. Port 0 is one that the system chooses.
func clash(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	everywhere := func(host string) bool { return host == "" || host == "::" }
	is4 := func(host string) bool { ip := net.ParseIP(host); return ip == nil || ip.To4() != nil }
	return hostA == hostB || everywhere(hostA) || everywhere(hostB) ||
		hostA == "0.0.0.0" && is4(hostB) || hostB == "0.0.0.0" && is4(hostA)
}
