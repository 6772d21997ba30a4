package authority

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/miekg/dns"
)

// Place is where a TXT value belongs for a CA to see it.
type Place struct {
	Name    string   // after all aliases, in lower case, without the last dot
	Zone    string   // the zone that Name is in
	Servers []Server // of Zone
	// Hidden says that no authoritative server could be found or reached, and why; the
	// resolver is asked instead. Zone may be empty, and Name an alias, then: some
	// networks know nothing of the world's DNS, and their machines must renew as well.
	Hidden error
}

// maxHops bounds a chain of aliases and of referrals; resolvers give up earlier.
const maxHops = 16

// Find follows the aliases of a name and finds the servers of the zone where they end.
func (f *Finder) Find(ctx context.Context, name string) (*Place, error) {
	name = canonical(name)
	chain := []string{name}
	for {
		place, alias, err := f.look(ctx, name)
		if err != nil {
			return nil, err
		}
		if alias == "" {
			return place, nil
		}
		for _, seen := range chain {
			if seen == alias {
				return nil, fmt.Errorf("the aliases (CNAME) of %s lead in a circle, %s: correct them in the zone", chain[0], strings.Join(append(chain, alias), " → "))
			}
		}
		if chain = append(chain, alias); len(chain) > maxHops {
			return nil, fmt.Errorf("%s is an alias (CNAME) over more than %d steps: shorten the chain", chain[0], maxHops)
		}
		name = alias
	}
}

// look finds the place of a name, or the name that it is an alias of.
func (f *Finder) look(ctx context.Context, name string) (place *Place, alias string, err error) {
	var servers []Server
	zone, err := f.zoneOf(ctx, name)
	if err == nil {
		servers, err = f.servers(ctx, zone, nil)
	}
	if err != nil {
		return &Place{Name: name, Hidden: err}, "", ctx.Err()
	}
	for range maxHops {
		answer, err := firstAnswer(ctx, servers, name)
		if err != nil {
			if ctx.Err() != nil {
				return nil, "", ctx.Err()
			}
			return f.lookBehind(ctx, name, zone, servers, err)
		}
		if alias := aliasIn(answer, name); alias != "" {
			return nil, alias, nil
		}
		child, names := referral(answer, zone, name)
		if child == "" {
			return &Place{Name: name, Zone: zone, Servers: servers}, "", nil
		}
		zone = child
		if servers, err = f.servers(ctx, zone, names); err != nil {
			return nil, "", err
		}
	}
	return nil, "", fmt.Errorf("the delegation of %s has more than %d steps: correct it in the zones above", name, maxHops)
}

// lookBehind asks the resolver for what the authoritative servers could not be asked.
func (f *Finder) lookBehind(ctx context.Context, name, zone string, servers []Server, why error) (*Place, string, error) {
	answer, err := f.resolve(ctx, name, dns.TypeCNAME)
	if err != nil {
		return &Place{Name: name, Zone: zone, Hidden: fmt.Errorf("%w; %w", why, err)}, "", ctx.Err()
	}
	if alias := aliasIn(answer, name); alias != "" {
		return nil, alias, nil
	}
	return &Place{Name: name, Zone: zone, Servers: servers, Hidden: why}, "", nil
}

// zoneOf finds the zone that a name is in. It begins above the name and above all
// labels with an underscore, which may not exist yet; a zone cut between is found later,
// by the referrals of the servers above it.
func (f *Finder) zoneOf(ctx context.Context, name string) (string, error) {
	at := name
	for i, label := range dns.SplitDomainName(name) {
		if i > 0 && !strings.HasPrefix(label, "_") {
			break
		}
		at, _ = parent(at)
	}
	for more := true; more; at, more = parent(at) {
		answer, err := f.resolve(ctx, dns.Fqdn(at), dns.TypeSOA)
		if err != nil {
			return "", fmt.Errorf("finding the zone of %s: %w", name, err)
		}
		if zone, ok := apexIn(answer, at); ok {
			return zone, nil
		}
	}
	return "", fmt.Errorf("the resolver knows no zone of %s: check that the domain is delegated", name)
}

// apexIn reads the zone of a name from the answer to a question for its SOA: its own
// record, or the one that says there is none (RFC 2308 §3). Where the name is an alias,
// both may be about the name it stands for.
func apexIn(answer *dns.Msg, name string) (string, bool) {
	for _, rr := range answer.Answer {
		switch rr := rr.(type) {
		case *dns.CNAME:
			return "", false
		case *dns.SOA:
			if canonical(rr.Hdr.Name) == name {
				return name, true
			}
		}
	}
	for _, rr := range answer.Ns {
		if soa, ok := rr.(*dns.SOA); ok && dns.IsSubDomain(dns.Fqdn(soa.Hdr.Name), dns.Fqdn(name)) {
			return canonical(soa.Hdr.Name), true
		}
	}
	return "", false
}

// aliasIn is the target of a CNAME at exactly this name.
func aliasIn(answer *dns.Msg, name string) string {
	for _, rr := range answer.Answer {
		if c, ok := rr.(*dns.CNAME); ok && canonical(c.Hdr.Name) == name {
			return canonical(c.Target)
		}
	}
	return ""
}

// referral reads an answer that points to the servers of a zone further down
// (RFC 1034 §4.2.1).
func referral(answer *dns.Msg, zone, name string) (child string, servers []string) {
	if answer.Authoritative || len(answer.Answer) > 0 || answer.Rcode != dns.RcodeSuccess {
		return "", nil
	}
	for _, rr := range answer.Ns {
		ns, ok := rr.(*dns.NS)
		if !ok {
			continue
		}
		owner := canonical(ns.Hdr.Name)
		below := owner != zone && dns.IsSubDomain(dns.Fqdn(zone), dns.Fqdn(owner)) && dns.IsSubDomain(dns.Fqdn(owner), dns.Fqdn(name))
		if below && (child == "" || child == owner) {
			child, servers = owner, append(servers, canonical(ns.Ns))
		}
	}
	return child, servers
}

// firstAnswer asks all servers at once for the TXT records of a name and returns the
// first answer that comes from the zone: an authoritative one or a referral.
func firstAnswer(ctx context.Context, servers []Server, name string) (*dns.Msg, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		answer *dns.Msg
		err    error
	}
	ch := make(chan result, len(servers))
	for _, s := range servers {
		go func() {
			answer, err := exchange(ctx, s.Addr.String(), name, dns.TypeTXT, false)
			if err == nil {
				err = notOwn(answer, name)
			}
			if err != nil {
				err = fmt.Errorf("%v: %w", s, err)
			}
			ch <- result{answer, err}
		}()
	}
	first := errors.New("it has no server with an address that can be reached from here")
	for i := range servers {
		r := <-ch
		if r.err == nil {
			return r.answer, nil
		}
		if i == 0 {
			first = r.err
		}
	}
	return nil, first
}

// notOwn says why an answer is not one of an authoritative server.
func notOwn(answer *dns.Msg, name string) error {
	if answer.Rcode != dns.RcodeSuccess && answer.Rcode != dns.RcodeNameError {
		return fmt.Errorf("it answers %s", dns.RcodeToString[answer.Rcode])
	}
	if answer.Authoritative {
		return nil
	}
	if child, _ := referral(answer, "", name); child != "" {
		return nil
	}
	return errors.New("its answer is not an authoritative one")
}

type zoneEntry struct {
	once    sync.Once
	servers []Server
	err     error
	until   time.Time
}

// remembered bounds how long the servers of a zone are not looked up again.
const remembered = 5 * time.Minute

// servers finds all addresses of all name servers of a zone. The names are those of a
// referral; without, the resolver is asked for them.
func (f *Finder) servers(ctx context.Context, zone string, names []string) ([]Server, error) {
	f.mu.Lock()
	if f.zones == nil {
		f.zones = make(map[string]*zoneEntry)
	}
	e := f.zones[zone]
	if e == nil || time.Now().After(e.until) {
		e = &zoneEntry{until: time.Now().Add(remembered)}
		f.zones[zone] = e
	}
	f.mu.Unlock()
	e.once.Do(func() {
		// The answer is for all who ask now, so the end of one does not count.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		e.servers, e.err = f.lookUpServers(ctx, zone, names)
	})
	if e.err != nil {
		f.mu.Lock()
		if f.zones[zone] == e {
			delete(f.zones, zone)
		}
		f.mu.Unlock()
	}
	return e.servers, e.err
}

func (f *Finder) lookUpServers(ctx context.Context, zone string, names []string) ([]Server, error) {
	if names == nil {
		answer, err := f.resolve(ctx, dns.Fqdn(zone), dns.TypeNS)
		if err != nil {
			return nil, fmt.Errorf("finding the name servers of %s: %w", zone, err)
		}
		for _, rr := range answer.Answer {
			if ns, ok := rr.(*dns.NS); ok && canonical(ns.Hdr.Name) == zone {
				names = append(names, canonical(ns.Ns))
			}
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("the resolver knows no name servers of %s: check that the domain is delegated", zone)
	}
	found := make([][]Server, 2*len(names))
	errs := make([]error, 2*len(names))
	var wg sync.WaitGroup
	for i, name := range names {
		for j, t := range []uint16{dns.TypeA, dns.TypeAAAA} {
			wg.Go(func() { found[2*i+j], errs[2*i+j] = f.addresses(ctx, name, t) })
		}
	}
	wg.Wait()
	var servers []Server
	for _, list := range found {
		servers = append(servers, list...)
	}
	if len(servers) > 0 {
		return f.routed(zone, servers), nil
	}
	return nil, fmt.Errorf("the name servers of %s, %s, have no address that the resolver knows: check the delegation (%w)",
		zone, strings.Join(names, ", "), errors.Join(errs[0], errors.New("no A and no AAAA record")))
}

func (f *Finder) addresses(ctx context.Context, name string, t uint16) ([]Server, error) {
	answer, err := f.resolve(ctx, name, t)
	if err != nil {
		return nil, err
	}
	port := uint64(53)
	if f.Port != "" {
		if port, err = strconv.ParseUint(f.Port, 10, 16); err != nil {
			return nil, err
		}
	}
	var list []Server
	for _, rr := range answer.Answer {
		var ip net.IP
		switch rr := rr.(type) {
		case *dns.A:
			ip = rr.A
		case *dns.AAAA:
			ip = rr.AAAA
		}
		if a, ok := netip.AddrFromSlice(ip); ok {
			list = append(list, Server{name, netip.AddrPortFrom(a.Unmap(), uint16(port))})
		}
	}
	return list, nil
}

// routed leaves out the addresses that this machine has no way to, such as IPv6 ones
// without IPv6, as long as others remain: waiting for them would be in vain, and says
// nothing about the server. Connecting a UDP socket asks the routing table and sends
// nothing.
func (f *Finder) routed(zone string, servers []Server) []Server {
	var with []Server
	for _, s := range servers {
		conn, err := net.Dial("udp", s.Addr.String())
		if err == nil {
			conn.Close()
		}
		if errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EHOSTUNREACH) ||
			errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) {
			if f.Log != nil {
				f.Log.Debug("leaving out an address that this machine has no route to", "zone", zone, "server", s.String())
			}
			continue
		}
		with = append(with, s)
	}
	if len(with) == 0 {
		return servers
	}
	return with
}
