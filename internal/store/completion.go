package store

import (
	"context"
	"strconv"
)

// What begins with a prefix, up to limit of each, for a shell to complete.

// beyond is behind all names and serial numbers that have a prefix.
func beyond(prefix string) string { return prefix + "\x7f" }

// HostsFrom lists names of hosts.
func (s *Store) HostsFrom(ctx context.Context, prefix string, limit int) ([]string, error) {
	return collect(ctx, s.read, scanString, `SELECT fqdn FROM host WHERE fqdn >= $1 AND fqdn < $2 ORDER BY fqdn LIMIT $3`, prefix, beyond(prefix), limit)
}

// ACMEIDsFrom lists the FQDNs of ACME-IDs that are good.
func (s *Store) ACMEIDsFrom(ctx context.Context, prefix string, limit int) ([]string, error) {
	return collect(ctx, s.read, scanString, `SELECT fqdn FROM acme_id WHERE invalid_at IS NULL AND fqdn >= $1 AND fqdn < $2 ORDER BY fqdn LIMIT $3`,
		prefix, beyond(prefix), limit)
}

// SerialsFrom lists serial numbers of certificates.
func (s *Store) SerialsFrom(ctx context.Context, prefix string, limit int) ([]string, error) {
	return collect(ctx, s.read, scanString, `SELECT serial FROM certificate WHERE serial >= $1 AND serial < $2 ORDER BY serial LIMIT $3`,
		prefix, beyond(prefix), limit)
}

// AccountsFrom lists numbers of accounts, each with what is known of it behind a tab.
func (s *Store) AccountsFrom(ctx context.Context, prefix string, limit int) (all []string, err error) {
	for low, high := firstNumbers(prefix); low > 0 && len(all) < limit; low, high = low*10, high*10 {
		some, err := collect(ctx, s.read, scanAccount, `SELECT `+accountColumns+` WHERE a.id >= $1 AND a.id < $2 ORDER BY a.id LIMIT $3`, low, high, limit-len(all))
		if err != nil {
			return nil, err
		}
		for _, a := range some {
			all = append(all, object(a.ID)+"\t"+string(a.Status)+", of directory "+a.Directory)
		}
		if low > 1<<50 {
			break
		}
	}
	return all, nil
}

// firstNumbers are the bounds of the shortest numbers that begin with some digits: 12 and
// 13, later 120 and 130, and so on; 0 for what is no number.
func firstNumbers(digits string) (low, high int64) {
	if digits == "" {
		return 1, 10
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n <= 0 || digits[0] == '0' || n > 1<<50 {
		return 0, 0
	}
	return n, n + 1
}
