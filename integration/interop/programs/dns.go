package main

import (
	"context"
	"fmt"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/libdns/libdns"
	"github.com/miekg/dns"
)

// updates is a DNS provider by RFC 2136 for certmagic's solver.
type updates struct {
	Address string `json:"address"` // HOST:PORT
	KeyName string `json:"key_name"`
	Secret  string `json:"secret"` // base64, for hmac-sha256
}

func (u updates) solver() *certmagic.DNS01Solver {
	return &certmagic.DNS01Solver{DNSManager: certmagic.DNSManager{
		DNSProvider: u, Resolvers: []string{u.Address},
		PropagationTimeout: -1, // the server that is updated is the one that is asked
	}}
}

func (u updates) AppendRecords(ctx context.Context, zone string, recs []libdns.Record) ([]libdns.Record, error) {
	return recs, u.update(ctx, zone, recs, (*dns.Msg).Insert)
}

func (u updates) DeleteRecords(ctx context.Context, zone string, recs []libdns.Record) ([]libdns.Record, error) {
	return recs, u.update(ctx, zone, recs, (*dns.Msg).Remove)
}

func (u updates) update(ctx context.Context, zone string, recs []libdns.Record, change func(*dns.Msg, []dns.RR)) error {
	m := new(dns.Msg).SetUpdate(dns.Fqdn(zone))
	for _, r := range recs {
		rr := r.RR()
		parsed, err := dns.NewRR(fmt.Sprintf("%s %d %s %q", dns.Fqdn(libdns.AbsoluteName(rr.Name, zone)), int(rr.TTL.Seconds()), rr.Type, rr.Data))
		if err != nil {
			return err
		}
		change(m, []dns.RR{parsed})
	}
	key := dns.Fqdn(u.KeyName)
	m.SetTsig(key, dns.HmacSHA256, 300, time.Now().Unix())
	answer, _, err := (&dns.Client{Net: "tcp", TsigSecret: map[string]string{key: u.Secret}}).ExchangeContext(ctx, m, u.Address)
	if err == nil && answer.Rcode != dns.RcodeSuccess {
		err = fmt.Errorf("the DNS update was refused: %s", dns.RcodeToString[answer.Rcode])
	}
	return err
}
