package config

import "time"

// Cleanup says how long the server keeps what is of no use any more.
type Cleanup struct {
	// KeepStale is how long orders without a certificate, authorizations that no order
	// with a certificate used, and ended windows of renewal stay after their end, 1d to
	// 3650d; default 7d.
	KeepStale Duration `yaml:"keep_stale"`
}

// Limits and default of Cleanup.KeepStale.
const (
	MinKeepStale     = 24 * time.Hour
	MaxKeepStale     = 3650 * 24 * time.Hour
	DefaultKeepStale = 7 * 24 * time.Hour
)

func (c *Cleanup) complete(r *reader) {
	switch v := time.Duration(c.KeepStale); {
	case v == 0:
		c.KeepStale = Duration(DefaultKeepStale)
	case v < MinKeepStale || v > MaxKeepStale:
		r.add("keep_stale", "%s is out of range: 1d to 3650d", v)
	}
}
