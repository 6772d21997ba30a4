package validation

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"vidimus/internal/acme"
)

// silentServer takes questions and never answers.
func silentServer(t *testing.T) string {
	t.Helper()
	p, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p.LocalAddr().String()
}

// knowing is a server that knows the answer to dns-01.
func knowing(t *testing.T) string {
	return serveDNS(t, func(_ dns.ResponseWriter, q dns.Question, m *dns.Msg) {
		m.Answer = append(m.Answer, rr(t, q.Name+" 1 IN TXT "+rightTXT()))
	})
}

func TestASilentResolverCostsOneSecondOnce(t *testing.T) {
	v := &Validator{Resolver: &Recursive{Servers: []string{silentServer(t), knowing(t)}}}
	begin := time.Now()
	check(t, validate(t, v, acme.DNS01), "", "")
	if took := time.Since(begin); took < nextServer || took >= perServer {
		t.Errorf("the first look-up took %s; want about %s", took, nextServer)
	}
	begin = time.Now()
	check(t, validate(t, v, acme.DNS01), "", "")
	if took := time.Since(begin); took >= nextServer {
		t.Errorf("the next look-up took %s", took)
	}
}

func TestADeadResolverIsAProblemOfBoundedTimeAndRecoversAtOnce(t *testing.T) {
	address := deadServer(t)
	v := &Validator{Resolver: &Recursive{Servers: []string{address}}}
	check(t, validate(t, v, acme.DNS01), acme.DNS, "resolver "+address+" did not answer")
	p, err := net.ListenPacket("udp", address)
	if err != nil {
		t.Skip(err) // somebody took the port
	}
	s := &dns.Server{PacketConn: p, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		m.Answer = append(m.Answer, rr(t, q.Question[0].Name+" 1 IN TXT "+rightTXT()))
		w.WriteMsg(m)
	})}
	go s.ActivateAndServe()
	t.Cleanup(func() { s.Shutdown() })
	check(t, validate(t, v, acme.DNS01), "", "")

	v.Resolver = &Recursive{Servers: []string{silentServer(t)}}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	check(t, v.Validate(ctx, asks(acme.DNS01)).Problem, acme.DNS, "timeout")
}

func TestALookUpThatNobodyWantsAnyMoreEndsAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	asked := make(chan struct{})
	server := serveDNS(t, func(w dns.ResponseWriter, q dns.Question, m *dns.Msg) {
		close(asked)
		<-ctx.Done()
	})
	go func() { <-asked; cancel() }()
	begin := time.Now()
	_, err := exchange(ctx, new(dns.Msg).SetQuestion("www.example.org.", dns.TypeA), server)
	if took := time.Since(begin); !errors.Is(err, context.Canceled) || took > perServer/2 {
		t.Errorf("%v after %s", err, took)
	}
}

func TestASlowResolverHoldsUpNoOther(t *testing.T) {
	release := make(chan struct{})
	server := serveDNS(t, func(_ dns.ResponseWriter, q dns.Question, m *dns.Msg) {
		if strings.Contains(q.Name, "slow") {
			<-release
			return
		}
		m.Answer = append(m.Answer, rr(t, q.Name+" 1 IN TXT "+rightTXT()))
	})
	r := &Recursive{Servers: []string{server}}
	slow := make(chan error)
	for range 100 {
		go func() {
			_, err := r.Lookup(t.Context(), "slow.example.org", dns.TypeTXT)
			slow <- err
		}()
	}
	for range 100 {
		if _, err := r.Lookup(t.Context(), "quick.example.org", dns.TypeTXT); err != nil {
			t.Error(err)
		}
	}
	close(release)
	for range 100 {
		if err := <-slow; err != nil {
			t.Error(err)
		}
	}
}

func TestDNSSECIsReportedOrRequired(t *testing.T) {
	// As a validating resolver would: it vouches for what is signed, when asked to.
	validating := func(signed bool) func(dns.ResponseWriter, dns.Question, *dns.Msg) {
		return func(_ dns.ResponseWriter, q dns.Question, m *dns.Msg) {
			if q.Name == "www.example.org." || q.Name == "www.bogus.org." {
				m.Answer = append(m.Answer, rr(t, q.Name+" 1 IN A 127.0.0.1"))
			}
			m.AuthenticatedData = signed && !strings.Contains(q.Name, "unsigned")
			if q.Name == "www.bogus.org." && !m.CheckingDisabled {
				m.Rcode, m.Answer = dns.RcodeServerFailure, nil
			}
		}
	}
	good, plain := serveDNS(t, validating(true)), serveDNS(t, validating(false))
	for _, tt := range []struct {
		name string
		r    *Recursive
		ask  string
		want string
	}{
		{"not asked", &Recursive{Servers: []string{good}}, "www.example.org", ""},
		{"signed", &Recursive{Servers: []string{good}, AskDNSSEC: true}, "www.example.org", "secure"},
		{"signed, and there is nothing", &Recursive{Servers: []string{good}, AskDNSSEC: true}, "none.example.org", "secure"},
		{"not signed", &Recursive{Servers: []string{good}, AskDNSSEC: true}, "www.unsigned.org", "insecure"},
		{"a resolver that doesn't validate", &Recursive{Servers: []string{plain}, AskDNSSEC: true}, "www.example.org", "insecure"},
		{"bogus", &Recursive{Servers: []string{good}, AskDNSSEC: true}, "www.bogus.org", "answered SERVFAIL, because the DNSSEC signatures are not right"},
		{"required", &Recursive{Servers: []string{good}, RequireDNSSEC: "."}, "www.example.org", "secure"},
		{"required, not signed", &Recursive{Servers: []string{good}, RequireDNSSEC: "."}, "www.unsigned.org", "insecure"},
		{"required of one that doesn't validate", &Recursive{Servers: []string{plain}, RequireDNSSEC: "."}, "www.example.org", "does not validate DNSSEC: it does not vouch for the signed zone ."},
		{"required, one of two validates", &Recursive{Servers: []string{plain, good}, RequireDNSSEC: "example.org"}, "www.example.org", "secure"},
		{"required, shown by a zone that isn't signed", &Recursive{Servers: []string{good}, RequireDNSSEC: "unsigned.org"}, "www.example.org", "does not vouch for the signed zone unsigned.org"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			answer, err := tt.r.Lookup(t.Context(), tt.ask, dns.TypeA)
			got := string(answer.DNSSEC)
			if err != nil {
				got = err.Error()
			}
			if got != tt.want && (err == nil || !strings.Contains(got, tt.want)) {
				t.Errorf("%s; want %s", got, tt.want)
			}
		})
	}
}

func TestAValidationIsSecureWhenAllOfItIs(t *testing.T) {
	for _, tt := range []struct {
		secure func(dns.Question) bool
		want   DNSSEC
	}{
		{func(dns.Question) bool { return true }, Secure},
		{func(dns.Question) bool { return false }, Insecure},
		{func(q dns.Question) bool { return q.Qtype == dns.TypeTXT }, Insecure},
		{func(q dns.Question) bool { return q.Name != "org." }, Insecure},
	} {
		server := serveDNS(t, func(_ dns.ResponseWriter, q dns.Question, m *dns.Msg) {
			if m.AuthenticatedData = tt.secure(q); q.Qtype == dns.TypeTXT {
				m.Answer = append(m.Answer, rr(t, q.Name+" 1 IN TXT "+rightTXT()))
			}
		})
		req := asks(acme.DNS01)
		req.CAA = true
		res := (&Validator{Resolver: &Recursive{Servers: []string{server}, AskDNSSEC: true}}).Validate(t.Context(), req)
		if res.Problem != nil || res.Record.DNSSEC != tt.want {
			t.Errorf("%v, %s; want %s", res.Problem, res.Record.DNSSEC, tt.want)
		}
	}
}

func TestFollowKeepsToTheQuestion(t *testing.T) {
	alias := func(from, to string) string { return from + ". 1 IN CNAME " + to + "." }
	var chain, long []string
	for i := range maxAliases + 1 {
		long = append(long, alias(fmt.Sprintf("a%d.org", i), fmt.Sprintf("a%d.org", i+1)))
		if i < maxAliases-1 {
			chain = append(chain, long[i])
		}
	}
	for _, tt := range []struct {
		name    string
		records []string
		want    int // records; -1 is an error
	}{
		{"itself", []string{"a0.org. 1 IN TXT x", "A0.ORG. 1 IN TXT y"}, 2},
		{"another name's", []string{"a1.org. 1 IN TXT x"}, 0},
		{"another class", []string{"a0.org. 1 CH TXT x"}, 0},
		{"another type", []string{"a0.org. 1 IN A 127.0.0.1"}, 0},
		{"an alias", []string{alias("a0.org", "b.org"), "b.org. 1 IN TXT x"}, 1},
		{"an alias, the wrong way round", []string{"b.org. 1 IN TXT x", alias("a0.org", "b.org")}, 1},
		{"another's alias", []string{alias("a1.org", "b.org"), "b.org. 1 IN TXT x"}, 0},
		{"as many aliases as may be", append(chain, "a15.org. 1 IN TXT x"), 1},
		{"too many aliases", append(long, "a17.org. 1 IN TXT x"), -1},
		{"a loop", []string{alias("a0.org", "a1.org"), alias("a1.org", "a0.org")}, -1},
		{"a loop of one", []string{alias("a0.org", "a0.org")}, -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var rrs []dns.RR
			for _, s := range tt.records {
				rrs = append(rrs, rr(t, s))
			}
			got, err := follow(rrs, "a0.org.", dns.TypeTXT)
			if n := len(got); (err != nil) != (tt.want < 0) || err == nil && n != tt.want {
				t.Errorf("%d records, %v; want %d", n, err, tt.want)
			}
		})
	}
}

func TestAnAnswerToAnotherQuestionIsNone(t *testing.T) {
	server := serveDNS(t, func(_ dns.ResponseWriter, q dns.Question, m *dns.Msg) {
		m.Answer = append(m.Answer, rr(t, q.Name+" 1 IN TXT "+rightTXT()))
		m.Question[0].Name = "other.example.org."
	})
	check(t, validate(t, &Validator{Resolver: &Recursive{Servers: []string{server}}}, acme.DNS01), acme.DNS, "another question")
}

// FuzzDNSAnswer: whatever bytes a resolver answers with, nothing panics, and only
// records of the type asked for come out.
func FuzzDNSAnswer(f *testing.F) {
	for _, s := range []string{"www.example.org. 1 IN A 127.0.0.1", "www.example.org. 1 IN AAAA ::1", "www.example.org. 1 IN CNAME www.example.org.",
		"www.example.org. 1 IN TXT a b", `www.example.org. 1 IN CAA 0 issue ";"`} {
		m := new(dns.Msg).SetQuestion("www.example.org.", dns.TypeA)
		r, err := dns.NewRR(s)
		if err != nil {
			f.Fatal(err)
		}
		m.Answer = []dns.RR{r, r}
		data, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m := new(dns.Msg)
		if m.Unpack(data) != nil {
			return
		}
		_ = extended(m)
		for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeTXT, dns.TypeCAA} {
			rrs, err := follow(m.Answer, "www.example.org.", qtype)
			if err != nil {
				continue
			}
			for _, r := range rrs {
				if r.Header().Rrtype != qtype {
					t.Errorf("%s came out of a question for %s", r, dns.TypeToString[qtype])
				}
			}
			for _, a := range addresses(rrs) {
				_ = Networks(nil).Allow(a)
			}
			_, _ = texts(rrs), caaRecords(rrs)
		}
	})
}
