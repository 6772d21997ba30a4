package config

import "time"

// Revocation says how it is published that certificates are revoked, or to be renewed.
type Revocation struct {
	CRL         CRL         `yaml:"crl"`
	OCSP        *bool       `yaml:"ocsp"` // answer OCSP requests at ListenHTTP, and say so in certificates; default where there is one
	RenewalInfo RenewalInfo `yaml:"renewal_info"`
}

// CRL says how revocation lists are made.
type CRL struct {
	Validity  Duration `yaml:"validity"`   // how long one is good for, 1h to 10d; default 24h
	Update    Duration `yaml:"update"`     // how old one gets when nothing is revoked, at most validity; default half of it
	ShardSize int      `yaml:"shard_size"` // how many certificates share one, 100 to 100,000; default 10,000
}

// RenewalInfo says how renewal information (RFC 9773) is given.
type RenewalInfo struct {
	RetryAfter Duration `yaml:"retry_after"` // when clients ask again, 1m to 24h; default 6h
}

// Limits and defaults of CRL and RenewalInfo.
const (
	MinCRLValidity     = time.Hour
	MaxCRLValidity     = 10 * 24 * time.Hour
	DefaultCRLValidity = 24 * time.Hour

	MinShardSize     = 100
	MaxShardSize     = 100_000
	DefaultShardSize = 10_000

	MinRetryAfter     = time.Minute
	MaxRetryAfter     = 24 * time.Hour
	DefaultRetryAfter = 6 * time.Hour
)

// completeRevocation checks how revocation is published, and fills in defaults.
func (c *Config) completeRevocation(r *reader) {
	switch v := time.Duration(c.CRL.Validity); {
	case v == 0:
		c.CRL.Validity = Duration(DefaultCRLValidity)
	case v < MinCRLValidity || v > MaxCRLValidity:
		r.add("crl.validity", "%s is out of range: 1h to 10d", v)
	}
	switch u, v := time.Duration(c.CRL.Update), time.Duration(c.CRL.Validity); {
	case u == 0:
		c.CRL.Update = c.CRL.Validity / 2
	case u < time.Minute || u > v-v/10:
		r.add("crl.update", "%s is out of range: 1m to nine tenths of crl.validity, which is %s", u, v)
	}
	switch n := c.CRL.ShardSize; {
	case n == 0:
		c.CRL.ShardSize = DefaultShardSize
	case n < MinShardSize || n > MaxShardSize:
		r.add("crl.shard_size", "%d is out of range: %d to %d", n, MinShardSize, MaxShardSize)
	}
	switch {
	case c.OCSP == nil:
		on := c.URLHTTP != ""
		c.OCSP = &on
	case *c.OCSP && c.URLHTTP == "":
		r.add("ocsp", "OCSP is served without TLS; give listen_http and url_http, or leave ocsp out")
	}
	switch v := time.Duration(c.RenewalInfo.RetryAfter); {
	case v == 0:
		c.RenewalInfo.RetryAfter = Duration(DefaultRetryAfter)
	case v < MinRetryAfter || v > MaxRetryAfter:
		r.add("renewal_info.retry_after", "%s is out of range: 1m to 24h (RFC 9773 §4.3.2)", v)
	}
}
