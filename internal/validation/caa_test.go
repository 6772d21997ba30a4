package validation

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"vidimus/internal/acme"
	"vidimus/internal/identifier"
)

const account = "https://acme.example.net/acme/main-open/acct/7"

var identities = []string{"ca.example.net", "ca2.example.net"}

// caaOf is a request whose CAA records are looked at.
func caaOf(id identifier.Identifier) Request {
	return Request{Type: acme.HTTP01, Identifier: id.Base(), Wildcard: id.Wildcard(), Account: account, Issuers: identities, CAA: true}
}

// zone answers as a resolver that knows these records and no others. A name with the
// single "record" SERVFAIL, REFUSED or NXDOMAIN is answered so.
func zone(t *testing.T, records map[string][]string) (server string, asked func() []string) {
	t.Helper()
	names := make(chan string, 1000)
	server = serveDNS(t, func(w dns.ResponseWriter, q dns.Question, m *dns.Msg) {
		names <- strings.TrimSuffix(q.Name, ".")
		for _, s := range records[strings.TrimSuffix(q.Name, ".")] {
			if code, ok := dns.StringToRcode[s]; ok {
				m.Rcode = code
				continue
			}
			if !strings.Contains(s, " IN ") {
				s = q.Name + " 1 IN CAA " + s
			}
			m.Answer = append(m.Answer, rr(t, s))
		}
		if w.RemoteAddr().Network() == "udp" {
			m.Truncate(1232)
		}
	})
	return server, func() (all []string) {
		for len(names) > 0 {
			all = append(all, <-names)
		}
		return all
	}
}

func TestCAA(t *testing.T) {
	const other = `0 issue "ca.other.net"`
	repeated := func(n int, s ...string) []string { return append(slices.Repeat([]string{other}, n), s...) }
	var long []string
	for i := range 100 {
		long = append(long, fmt.Sprintf(`0 iodef "mailto:%d.%s@example.org"`, i, strings.Repeat("x", 200)))
	}
	tests := []struct {
		name    string
		id      string // "" means www.example.org
		records map[string][]string
		problem acme.ProblemType
		says    string
	}{
		{"no record", "", nil, "", ""},
		{"ours", "", map[string][]string{"www.example.org": {`0 issue "ca.example.net"`}}, "", ""},
		{"ours by another name, in capitals, among others", "", map[string][]string{"www.example.org": {other, `0 ISSUE " CA2.Example.NET ;"`}}, "", ""},
		{"another CA's", "", map[string][]string{"www.example.org": {other}}, acme.CAA, `issue "ca.other.net" names another CA; a record that allows it is: www.example.org. CAA 0 issue "ca.example.net"`},
		{"two other CAs'", "", map[string][]string{"www.example.org": repeated(2)}, acme.CAA, "(and 1 more)"},
		{"nobody's", "", map[string][]string{"www.example.org": {`0 issue ";"`}}, acme.CAA, "allows no CA"},
		{"empty", "", map[string][]string{"www.example.org": {`0 issue ""`}}, acme.CAA, "allows no CA"},
		{"malformed domain", "", map[string][]string{"www.example.org": {`0 issue "ca..example.net"`}}, acme.CAA, "malformed"},
		{"malformed parameter", "", map[string][]string{"www.example.org": {`0 issue "ca.example.net; policy"`}}, acme.CAA, "malformed"},
		{"iodef alone", "", map[string][]string{"www.example.org": {`0 iodef "mailto:a@example.org"`}}, "", ""},
		{"known critical ones", "", map[string][]string{"www.example.org": {`128 issue "ca.example.net"`, `128 iodef "mailto:a@example.org"`}}, "", ""},
		{"unknown", "", map[string][]string{"www.example.org": {`0 issue "ca.example.net"`, `0 tbs "x"`}}, "", ""},
		{"unknown and critical", "", map[string][]string{"www.example.org": {`0 issue "ca.example.net"`, `128 tbs "x"`}}, acme.CAA, `"tbs"`},

		{"parent's forbids", "", map[string][]string{"example.org": {other}}, acme.CAA, "the CAA records of example.org forbid a certificate for www.example.org"},
		{"top's forbids", "", map[string][]string{"org": {other}}, acme.CAA, "the CAA records of org"},
		{"own goes before the parent's", "", map[string][]string{"www.example.org": {`0 issue "ca.example.net"`}, "example.org": {other}}, "", ""},
		{"own stops the climb though it says nothing", "", map[string][]string{"www.example.org": {`0 iodef "mailto:a@example.org"`}, "example.org": {other}}, "", ""},
		{"behind a CNAME", "", map[string][]string{"www.example.org": {"www.example.org. 1 IN CNAME host.other.org.", `host.other.org. 1 IN CAA 0 issue ";"`}}, acme.CAA,
			`of host.other.org, of which www.example.org is an alias, forbid a certificate for www.example.org: issue ";" allows no CA; a record that allows it is: host.other.org. CAA 0`},
		{"a CNAME to nothing climbs the name itself", "", map[string][]string{"www.example.org": {"www.example.org. 1 IN CNAME host.other.org.", "NXDOMAIN"},
			"other.org": {`0 issue ";"`}, "example.org": {`0 issue "ca.example.net"`}}, "", ""},
		{"no such name", "", map[string][]string{"www.example.org": {"NXDOMAIN"}, "example.org": {other}}, acme.CAA, "example.org"},

		{"wildcard by issue", "*.example.org", map[string][]string{"example.org": {`0 issue "ca.example.net"`}}, "", ""},
		{"wildcard by issuewild", "*.example.org", map[string][]string{"example.org": {other, `0 issuewild "ca.example.net"`}}, "", ""},
		{"wildcard forbidden", "*.example.org", map[string][]string{"example.org": {`0 issue "ca.example.net"`, `0 issuewild ";"`}}, acme.CAA, `for *.example.org: issuewild ";" allows no CA; a record that allows it is: example.org. CAA 0 issuewild "ca.example.net"`},
		{"issuewild is for wildcards", "", map[string][]string{"example.org": {`0 issuewild ";"`}}, "", ""},

		{"right account", "", map[string][]string{"example.org": {`0 issue "ca.example.net; AccountURI = ` + account + `"`}}, "", ""},
		{"wrong account", "", map[string][]string{"example.org": {`0 issue "ca.example.net; accounturi=` + account + `1"`}}, acme.CAA, "another account than " + account},
		{"two accounts in one record", "", map[string][]string{"example.org": {`0 issue "ca.example.net; accounturi=` + account + `; accounturi=` + account + `"`}}, acme.CAA, "accounturi twice"},
		{"two accounts in two records", "", map[string][]string{"example.org": {`0 issue "ca.example.net; accounturi=x:y"`, `0 issue "ca.example.net; accounturi=` + account + `"`}}, "", ""},
		{"right method", "", map[string][]string{"example.org": {`0 issue "ca.example.net; validationmethods=dns-01,http-01"`}}, "", ""},
		{"wrong method", "", map[string][]string{"example.org": {`0 issue "ca.example.net; validationmethods=dns-01"`}}, acme.CAA, "does not allow the validation method http-01"},
		{"no method", "", map[string][]string{"example.org": {`0 issue "ca.example.net; validationmethods="`}}, acme.CAA, "malformed"},
		{"right account, wrong method", "", map[string][]string{"example.org": {`0 issue "ca.example.net; accounturi=` + account + `; validationmethods=dns-01"`}}, acme.CAA, "http-01"},
		{"an unknown parameter", "", map[string][]string{"example.org": {`0 issue "ca.example.net; policy=ev"`}}, "", ""},

		{"server failure", "", map[string][]string{"example.org": {"SERVFAIL"}}, acme.DNS, "looking up the CAA records of example.org"},
		{"refused", "", map[string][]string{"org": {"REFUSED"}}, acme.DNS, "REFUSED"},
		{"failure above what was found", "", map[string][]string{"www.example.org": {`0 issue "ca.example.net"`}, "example.org": {"SERVFAIL"}}, "", ""},
		{"too long for UDP", "", map[string][]string{"example.org": append(long, other)}, acme.CAA, "names another CA"},
		{"very many", "", map[string][]string{"example.org": repeated(maxCAA+1, `0 issue "ca.example.net"`)}, acme.CAA, "more than 500 CAA records"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			id := site
			if tt.id != "" {
				id.Value = tt.id
			}
			server, _ := zone(t, tt.records)
			v := &Validator{Resolver: &Recursive{Servers: []string{server}}}
			check(t, v.CheckCAA(t.Context(), caaOf(id)), tt.problem, tt.says)
		})
	}
}

func TestCAAClimbsToTheTopAndAsksForDNSNamesOnly(t *testing.T) {
	server, asked := zone(t, nil)
	v := &Validator{Resolver: &Recursive{Servers: []string{server}}}
	check(t, v.CheckCAA(t.Context(), caaOf(identifier.Identifier{Type: identifier.DNS, Value: "*.a.b.example.org"})), "", "")
	if got := strings.Join(asked(), " "); got != "a.b.example.org b.example.org example.org org" {
		t.Errorf("asked for %s", got)
	}
	check(t, v.CheckCAA(t.Context(), caaOf(identifier.Identifier{Type: identifier.IP, Value: "192.0.2.1"})), "", "")
	if got := asked(); len(got) > 0 {
		t.Errorf("asked for %s", got)
	}
}

func TestACAWithoutIdentityIsForbiddenByAnyIssueRecord(t *testing.T) {
	server, _ := zone(t, map[string][]string{"www.example.org": {`0 issue "ca.example.net"`}})
	v := &Validator{Resolver: &Recursive{Servers: []string{server}}}
	req := caaOf(site)
	req.Issuers = nil
	check(t, v.CheckCAA(t.Context(), req), acme.CAA, "caa_identities")
}

func TestCAARefusesWhenTheAnswerIsNoUse(t *testing.T) {
	short := serveDNS(t, func(_ dns.ResponseWriter, q dns.Question, m *dns.Msg) {
		m.Truncated = true
		m.Answer = append(m.Answer, rr(t, q.Name+` 1 IN CAA 0 issue "ca.example.net"`))
	})
	garbled := serveDNS(t, func(_ dns.ResponseWriter, q dns.Question, m *dns.Msg) {
		m.Answer = append(m.Answer, &dns.RFC3597{Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeCAA, Class: dns.ClassINET}, Rdata: "00ff41"})
	})
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for _, tt := range []struct{ server, says string }{
		{short, "cut short"}, {garbled, "looking up the CAA records of www.example.org"}, {deadServer(t), "refused"}, {silent.LocalAddr().String(), "timeout"},
	} {
		ctx, cancel := t.Context(), func() {}
		if tt.says == "timeout" {
			ctx, cancel = context.WithTimeout(ctx, 100*time.Millisecond)
		}
		v := &Validator{Resolver: &Recursive{Servers: []string{tt.server}}}
		check(t, v.CheckCAA(ctx, caaOf(site)), acme.DNS, tt.says)
		cancel()
	}
}

func TestAPartialResolverKnowsItsZonesOnly(t *testing.T) {
	server, _ := zone(t, map[string][]string{"org": {"REFUSED"}, "example.net": {"SERVFAIL"}})
	v := &Validator{Resolver: &Recursive{Servers: []string{server}, Partial: true}}
	check(t, v.CheckCAA(t.Context(), caaOf(site)), "", "")
	check(t, v.CheckCAA(t.Context(), caaOf(identifier.Identifier{Type: identifier.DNS, Value: "example.net"})), acme.DNS, "SERVFAIL")
}

func TestAValidationFailsWhereCAAForbids(t *testing.T) {
	server := serveDNS(t, func(_ dns.ResponseWriter, q dns.Question, m *dns.Msg) {
		m.Answer = append(m.Answer, rr(t, q.Name+" 1 IN TXT "+rightTXT()))
		if q.Qtype == dns.TypeCAA {
			m.Answer = []dns.RR{rr(t, q.Name+` 1 IN CAA 0 issue "ca.example.net; validationmethods=http-01"`)}
		}
	})
	for looks, want := range map[bool]acme.Status{true: acme.Invalid, false: acme.Valid} {
		db := openStore(t, filepath.Join(t.TempDir(), "test.db"))
		o, c := asked(t, db)
		r := &Runner{Validator: &Validator{Resolver: &Recursive{Servers: []string{server}}}, Store: db, Log: slog.New(slog.DiscardHandler), Directories: map[string]Policy{"main": {Accounts: strings.TrimSuffix(account, "7"), Identities: identities, CAA: looks}}}
		r.Start(c)
		r.Hold(t.Context(), c.Authz, time.Minute)
		got, err := db.Challenge(t.Context(), c.ID)
		if err != nil || got.Status != want {
			t.Errorf("challenge %+v, %v; want %s", got, err, want)
		}
		if want == acme.Valid {
			continue
		}
		check(t, got.Error, acme.CAA, "validation method dns-01")
		if o, err := db.Order(t.Context(), o.ID); err != nil || o.Status != acme.Invalid || o.Error == nil || o.Error.Type != acme.CAA {
			t.Errorf("order %+v, %v; want it invalid, with the reason", o, err)
		}
	}
}

func TestParseIssue(t *testing.T) {
	for s, want := range map[string]string{
		"": "[]", ";": "[]", " ; ": "[]", "\tca.example\t;": "ca.example[]", "ca-1.example": "ca-1.example[]", "ca": "ca[]",
		"CA.example;a=b;C-d = e=f ": "ca.example[{a b} {c-d e=f}]", "; a=b": "[{a b}]", "ca.example;a=": "ca.example[{a }]",
		"ca.example.": "", "-ca.example": "", "ca-.example": "", "ca_.example": "", "ca example": "", "cä.example": "", "ca.example\n": "",
		"ca.example;a": "", "ca.example;=b": "", "ca.example;a=b;": "", "ca.example;;a=b": "", "ca.example;a=b c": "", "ca.example;a=ä": "", "ca.example;a_b=c": "",
	} {
		v, err := parseIssue(s)
		if got := fmt.Sprint(v.domain, v.parameters); (err == nil) != (want != "") || err == nil && got != want {
			t.Errorf("%q gives %s, %v; want %q", s, got, err, want)
		}
	}
}

// FuzzCAA: no record that doesn't spell out one of our names allows anything, and what
// can be read can be read again from its parts.
func FuzzCAA(f *testing.F) {
	for _, s := range []string{"", ";", "ca.example.net", "CA.EXAMPLE.NET ; accounturi=" + account + "; validationmethods=http-01,dns-01", "ca.example.net;a=b;a=c",
		"ca.example.net\x00", "ca.example.net;;", "other.example;x=ca.example.net"} {
		f.Add(s, "issue", byte(0))
	}
	f.Fuzz(func(t *testing.T, value, tag string, flag byte) {
		a := &attempt{Request: caaOf(site)}
		record := &dns.CAA{Flag: flag, Tag: tag, Value: value}
		unknownCritical([]*dns.CAA{record})
		if why := a.refuses([]*dns.CAA{record}); (why == "") == strings.EqualFold(tag, "issue") && !strings.Contains(strings.ToLower(value), "example.net") {
			t.Errorf("%s %q is allowed: %q", tag, value, why)
		}
		v, err := parseIssue(value)
		if err != nil {
			return
		}
		again := v.domain
		for _, p := range v.parameters {
			again += ";" + p.tag + "=" + p.value
		}
		if w, err := parseIssue(again); err != nil || fmt.Sprint(w) != fmt.Sprint(v) {
			t.Errorf("%q gives %v; its parts %q give %v, %v", value, v, again, w, err)
		}
	})
}

// FuzzCAARecord: whatever bytes a record is made of, it allows only what names us.
func FuzzCAARecord(f *testing.F) {
	f.Add([]byte("\x00\x05issueca.example.net"))
	f.Add([]byte("\x80\x03tbsx"))
	f.Add([]byte("\x00\xffissue;"))
	f.Fuzz(func(t *testing.T, data []byte) {
		header := dns.RR_Header{Name: "www.example.org.", Rrtype: dns.TypeCAA, Class: dns.ClassINET, Rdlength: uint16(len(data))}
		r, _, err := dns.UnpackRRWithHeader(header, data, 0)
		record, ok := r.(*dns.CAA)
		if err != nil || !ok {
			return
		}
		records := []*dns.CAA{record}
		allowed := unknownCritical(records) == "" && (&attempt{Request: caaOf(site)}).refuses(records) == ""
		if allowed && strings.EqualFold(record.Tag, "issue") && !strings.Contains(strings.ToLower(string(data)), "example.net") {
			t.Errorf("%q is allowed", data)
		}
	})
}

func TestTheRecordSaysWhetherCAAWasLookedAt(t *testing.T) {
	h := held{release: make(chan struct{}), values: []string{rightTXT()}}
	close(h.release)
	for _, caa := range []bool{false, true} {
		res := (&Validator{Resolver: h}).Validate(t.Context(), Request{Type: acme.DNS01, Identifier: site, Token: token, KeyAuthorization: keyAuthorization, CAA: caa})
		record, err := json.Marshal(res.Record)
		if err != nil || res.Problem != nil || LookedAtCAA(record) != caa {
			t.Errorf("with CAA %v: %v, the record is %s, %v", caa, res.Problem, record, err)
		}
	}
	if LookedAtCAA(nil) || LookedAtCAA([]byte("x")) {
		t.Error("a record that there isn't says that CAA records were looked at")
	}
}
