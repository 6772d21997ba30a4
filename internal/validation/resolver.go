package validation

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// Recursive asks recursive resolvers: the first, and when it fails or is slow the next
// beside it. The first answer that is one counts; that a name doesn't exist is one, that
// a server failed is none. Questions go over UDP with random IDs from random ports, and
// again over TCP where an answer was cut short. An answer has at most 64 KiB.
type Recursive struct {
	Servers []string // HOST:PORT each
	// Partial servers know some zones only, and refuse to answer about others (as a
	// name server in a test does): a name that they refuse has no CAA records.
	Partial bool
	// AskDNSSEC asks the servers whether their answers are secure. They have to
	// validate; RequireDNSSEC makes sure that they do.
	AskDNSSEC bool
	// RequireDNSSEC is the name of a signed zone, "." perhaps. A server that doesn't
	// vouch for that zone's SOA record is not believed. "" believes all servers.
	RequireDNSSEC string

	mu     sync.Mutex
	slow   map[string]time.Time // servers that failed, until when they are asked last
	proved map[string]time.Time // servers that validate, until when that is taken for granted
}

const (
	// perServer bounds the wait for one answer.
	perServer = 5 * time.Second
	// nextServer is when the next server is asked, or a sole one once more.
	nextServer = time.Second
	// rounds is how often each server is asked.
	rounds = 2
	// askedLast is how long a server that failed is asked after the others.
	askedLast = 10 * time.Second
	// provedFor is how long a server that was seen to validate is taken to.
	provedFor = 5 * time.Minute
	// maxAliases bounds the chain of CNAMEs at whose end the records are.
	maxAliases = 16
)

// FromSystem asks the resolvers of /etc/resolv.conf.
func FromSystem() (*Recursive, error) {
	conf, err := dns.ClientConfigFromFile("/etc/resolv.conf")
	if err != nil {
		return nil, fmt.Errorf("reading /etc/resolv.conf: %w; name resolvers in the configuration (validation.resolvers)", err)
	}
	r := new(Recursive)
	for _, s := range conf.Servers {
		r.Servers = append(r.Servers, net.JoinHostPort(s, conf.Port))
	}
	if len(r.Servers) == 0 {
		return nil, errors.New("/etc/resolv.conf names no resolver; name some in the configuration (validation.resolvers)")
	}
	return r, nil
}

// Lookup is [Resolver]'s.
func (r *Recursive) Lookup(ctx context.Context, name string, t uint16) (Answer, error) {
	m, err := r.ask(ctx, name, t)
	if r.Partial && t == dns.TypeCAA && errors.Is(err, errRefused) {
		return Answer{}, nil
	}
	if err != nil {
		return Answer{}, err
	}
	rrs, err := follow(m.Answer, dns.Fqdn(name), t)
	if err != nil {
		return Answer{}, fmt.Errorf("the answer about %s: %w", name, err)
	}
	answer := Answer{Records: rrs}
	if r.AskDNSSEC || r.RequireDNSSEC != "" {
		answer.DNSSEC = Insecure
		if m.AuthenticatedData {
			answer.DNSSEC = Secure
		}
	}
	return answer, nil
}

// follow picks the records of a type at a name out of an answer, or those at the end of
// its CNAMEs there; what else the answer holds doesn't count.
func follow(answer []dns.RR, name string, t uint16) ([]dns.RR, error) {
	for range maxAliases {
		var found []dns.RR
		alias := ""
		for _, rr := range answer {
			h := rr.Header()
			if h.Class != dns.ClassINET || !strings.EqualFold(h.Name, name) {
				continue
			}
			if c, ok := rr.(*dns.CNAME); ok {
				alias = c.Target
			}
			if h.Rrtype == t {
				found = append(found, rr)
			}
		}
		if len(found) > 0 || alias == "" {
			return found, nil
		}
		name = alias
	}
	return nil, fmt.Errorf("it has more than %d aliases one after the other", maxAliases)
}

// errRefused says that a server will not answer questions about a name.
var errRefused = errors.New("answered REFUSED")

// ask puts a question to the servers until one answers.
func (r *Recursive) ask(ctx context.Context, name string, t uint16) (*dns.Msg, error) {
	ctx, cancel := context.WithCancel(ctx) // the slower ones are not waited for
	defer cancel()
	type result struct {
		server string
		m      *dns.Msg
		err    error
	}
	servers := r.order()
	if len(servers) == 0 {
		return nil, errors.New("there is no resolver to ask")
	}
	results := make(chan result, rounds*len(servers))
	asked, failed := 0, 0
	pending := make(map[string]bool)
	next := time.NewTimer(0)
	defer next.Stop()
	var last error
	for {
		select {
		case <-next.C:
			if asked == rounds*len(servers) {
				break
			}
			server := servers[asked%len(servers)]
			asked++
			pending[server] = true
			go func() {
				m, err := r.askOne(ctx, server, name, t)
				results <- result{server, m, err}
			}()
			next.Reset(nextServer)
		case got := <-results:
			r.note(got.server, got.err)
			delete(pending, got.server)
			if got.err == nil {
				for s := range pending {
					r.note(s, errSlow)
				}
				return got.m, nil
			}
			last = fmt.Errorf("resolver %s %w", got.server, got.err)
			// A server that has said no says so again: that is no matter of luck.
			if failed++; failed == asked && (asked >= rounds*len(servers) || asked >= len(servers) && errors.As(got.err, new(rcodeError))) {
				return nil, last
			}
			next.Reset(0)
		case <-ctx.Done():
			if last == nil {
				last = fmt.Errorf("resolver %s did not answer: %w", servers[0], reason(ctx.Err()))
			}
			return nil, last
		}
	}
}

// errSlow is noted of a server that another was quicker than, though asked later.
var errSlow = errors.New("slow")

// order lists the servers, with those at the end that failed just now.
func (r *Recursive) order() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	var good, slow []string
	for _, s := range r.Servers {
		if r.slow[s].After(now) {
			slow = append(slow, s)
		} else {
			good = append(good, s)
		}
	}
	return append(good, slow...)
}

// note remembers whether a server could be reached.
func (r *Recursive) note(server string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.slow == nil {
		r.slow = make(map[string]time.Time)
	}
	if err == nil || errors.As(err, new(rcodeError)) {
		delete(r.slow, server)
	} else if !errors.Is(err, context.Canceled) {
		r.slow[server] = time.Now().Add(askedLast)
	}
}

// rcodeError is a server's word that it has no answer.
type rcodeError struct{ text string }

func (e rcodeError) Error() string { return e.text }

// Is lets a refusal be found.
func (e rcodeError) Is(target error) bool {
	return target == errRefused && strings.HasPrefix(e.text, errRefused.Error())
}

// extended is what a server says about its error besides (RFC 8914), or "".
func extended(m *dns.Msg) string {
	opt := m.IsEdns0()
	if opt == nil {
		return ""
	}
	for _, o := range opt.Option {
		if e, ok := o.(*dns.EDNS0_EDE); ok {
			return " (" + clip(strings.TrimSpace(dns.ExtendedErrorCodeToString[e.InfoCode]+" "+e.ExtraText)) + ")"
		}
	}
	return ""
}

// askOne puts a question to one server. An answer says that there are records or that
// there are none.
func (r *Recursive) askOne(ctx context.Context, server, name string, t uint16) (*dns.Msg, error) {
	if err := r.prove(ctx, server); err != nil {
		return nil, err
	}
	m := r.question(name, t)
	answer, err := exchange(ctx, m, server)
	switch {
	case err != nil:
		return nil, fmt.Errorf("did not answer: %w", reason(err))
	case answer.Rcode == dns.RcodeSuccess, answer.Rcode == dns.RcodeNameError:
		return answer, nil
	}
	text := "answered " + dns.RcodeToString[answer.Rcode] + extended(answer)
	if answer.Rcode == dns.RcodeServerFailure && m.AuthenticatedData {
		m.Id, m.CheckingDisabled = dns.Id(), true
		if unchecked, err := exchange(ctx, m, server); err == nil && unchecked.Rcode != dns.RcodeServerFailure {
			text += ", because the DNSSEC signatures are not right"
		}
	}
	return nil, rcodeError{text}
}

func (r *Recursive) question(name string, t uint16) *dns.Msg {
	m := new(dns.Msg).SetQuestion(dns.Fqdn(name), t)
	m.SetEdns0(1232, false)                                    // the size of DNS Flag Day 2020: no fragments
	m.AuthenticatedData = r.AskDNSSEC || r.RequireDNSSEC != "" // RFC 6840 §5.7
	return m
}

// prove makes sure that a server validates, where that is required.
func (r *Recursive) prove(ctx context.Context, server string) error {
	if r.RequireDNSSEC == "" {
		return nil
	}
	r.mu.Lock()
	proved := r.proved[server].After(time.Now())
	r.mu.Unlock()
	if proved {
		return nil
	}
	answer, err := exchange(ctx, r.question(r.RequireDNSSEC, dns.TypeSOA), server)
	switch {
	case err != nil:
		return fmt.Errorf("did not answer: %w", reason(err))
	case answer.Rcode != dns.RcodeSuccess:
		return rcodeError{fmt.Sprintf("answered %s about the zone %s, by which it should show that it validates DNSSEC", dns.RcodeToString[answer.Rcode], r.RequireDNSSEC)}
	case !answer.AuthenticatedData:
		return rcodeError{fmt.Sprintf("does not validate DNSSEC: it does not vouch for the signed zone %s; the configuration requires it (validation.dnssec)", r.RequireDNSSEC)}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.proved == nil {
		r.proved = make(map[string]time.Time)
	}
	r.proved[server] = time.Now().Add(provedFor)
	return nil
}

// Check asks one of the servers for the SOA record of a zone, to see that it answers
// and, where that is required, validates. The error says what is wrong with it.
func (r *Recursive) Check(ctx context.Context, server string) (DNSSEC, error) {
	zone := "."
	if r.RequireDNSSEC != "" {
		zone = r.RequireDNSSEC
	}
	m, err := r.askOne(ctx, server, zone, dns.TypeSOA)
	switch {
	case err != nil:
		return Unasked, fmt.Errorf("resolver %s %w", server, err)
	case !r.AskDNSSEC && r.RequireDNSSEC == "":
		return Unasked, nil
	case m.AuthenticatedData:
		return Secure, nil
	}
	return Insecure, nil
}

// exchange sends a question and reads the answer, which must be to this question.
func exchange(ctx context.Context, m *dns.Msg, server string) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, perServer)
	defer cancel()
	answer, err := exchangeOver(ctx, "udp", m, server)
	if err == nil && answer.Truncated {
		answer, err = exchangeOver(ctx, "tcp", m, server)
		if err == nil && answer.Truncated { // half of the CAA records would be worse than none
			return nil, errors.New("the answer was cut short, over TCP too")
		}
	}
	if err != nil {
		return nil, err
	}
	if !answer.Response || len(answer.Question) != 1 || answer.Question[0].Qtype != m.Question[0].Qtype ||
		!strings.EqualFold(answer.Question[0].Name, m.Question[0].Name) {
		return nil, errors.New("the answer is to another question")
	}
	return answer, nil
}

// exchangeOver ends with its context; the one of package dns would wait for an answer
// that nobody wants any more.
func exchangeOver(ctx context.Context, network string, m *dns.Msg, server string) (*dns.Msg, error) {
	c := &dns.Client{Net: network, Timeout: perServer}
	conn, err := c.DialContext(ctx, server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	answer, _, err := c.ExchangeWithConnContext(ctx, m, conn)
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return answer, err
}

// Loopback is the resolver of "vidimusd dev" when no other is named: every name is
// at this machine.
type Loopback struct{}

// Lookup gives 127.0.0.1 for every name.
func (Loopback) Lookup(_ context.Context, name string, t uint16) (Answer, error) {
	if t != dns.TypeA {
		return Answer{}, nil
	}
	addr := netip.AddrFrom4([4]byte{127, 0, 0, 1})
	return Answer{Records: []dns.RR{&dns.A{
		Hdr: dns.RR_Header{Name: dns.Fqdn(name), Rrtype: t, Class: dns.ClassINET}, A: addr.AsSlice()}}}, nil
}
