package cli

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"vidimus/internal/identifier"
	"vidimus/internal/lineage"
	"vidimus/internal/renewal"
)

// listed is what is told of a certificate.
type listed struct {
	Name    string    `json:"name"`
	Serial  string    `json:"serial"`
	KeyType string    `json:"key_type"`
	Domains []string  `json:"domains"`
	Expires time.Time `json:"expires"`
	Valid   bool      `json:"valid"`
	Cert    string    `json:"certificate_path"`
	Key     string    `json:"private_key_path"`
	Server  string    `json:"server,omitempty"`
	Revoked bool      `json:"revoked,omitempty"`

	cert, issuer *x509.Certificate
}

// certificates lists the lineages in Certbot's layout.
func certificates(ctx context.Context, s *session) error {
	names, err := s.obtainer.Store.Names()
	if err != nil {
		return err
	}
	found, readable := []listed{}, 0
	var broken []string
	for _, n := range names {
		it, err := s.describe(n)
		if err != nil {
			path := s.obtainer.Store.ConfPath(n)
			fmt.Fprintf(s.Stderr, "Renewal configuration file %s produced an unexpected error: %v. Skipping.\n", path, err)
			broken = append(broken, path)
			continue
		}
		readable++
		if s.wanted(it) {
			found = append(found, it)
		}
	}
	s.askRevoked(ctx, found)
	if s.opts.json {
		return s.printJSON(found)
	}
	s.print(found, readable, broken)
	return nil
}

func (s *session) print(found []listed, readable int, broken []string) {
	var lines []string
	if readable == 0 && len(broken) == 0 {
		lines = append(lines, "No certificates found.")
	}
	if readable > 0 {
		matching := ""
		if s.opts.CertName != "" || len(s.opts.Domains) > 0 {
			matching = "matching "
		}
		lines = append(lines, "Found the following "+matching+"certs:")
		var blocks []string
		for _, it := range found {
			blocks = append(blocks, it.text(s.Now()))
		}
		lines = append(lines, strings.Join(blocks, "\n"))
	}
	if len(broken) > 0 {
		lines = append(lines, "\nThe following renewal configurations were invalid:", "  "+strings.Join(broken, "\n  "))
	}
	fmt.Fprintf(s.out, "\n%s\n%s\n%s\n", renewal.Frame, strings.Join(lines, "\n"), renewal.Frame)
}

func (s *session) describe(name string) (listed, error) {
	l, err := s.obtainer.Store.Load(name)
	if err != nil {
		return listed{}, err
	}
	c, err := l.Verify()
	if err != nil {
		return listed{}, err
	}
	key, err := l.Key()
	if err != nil {
		return listed{}, err
	}
	issuer, err := l.Issuer()
	if err != nil {
		return listed{}, err
	}
	return listed{cert: c, issuer: issuer,
		Name: name, Serial: fmt.Sprintf("%x", c.SerialNumber), KeyType: strings.ToUpper(renewal.KeyType(key)),
		Domains: lineage.Names(c), Expires: c.NotAfter.UTC(), Valid: s.valid(c), Cert: l.Fullchain(), Key: l.Privkey(), Server: l.Server(),
	}, nil
}

// askRevoked asks the OCSP responders that certificates name, several at a time. One
// that can't be asked says nothing.
func (s *session) askRevoked(ctx context.Context, all []listed) {
	const atATime = 8
	asking := s.revocations()
	var group sync.WaitGroup
	turn := make(chan struct{}, atATime)
	for i := range all {
		if it := &all[i]; it.Valid && len(it.cert.OCSPServer) > 0 {
			turn <- struct{}{}
			group.Go(func() {
				defer func() { <-turn }()
				var err error
				if it.Revoked, err = asking.Revoked(ctx, it.cert, it.issuer); err != nil {
					s.log.Warn("asking whether a certificate is revoked", "lineage", it.Name, "error", err)
				}
				it.Valid = !it.Revoked
			})
		}
	}
	group.Wait()
	if err := s.obtainer.Answers.Save(false); err != nil {
		s.log.Warn("what responders said cannot be remembered", "error", err)
	}
}

func (s *session) valid(c *x509.Certificate) bool { return s.Now().Before(c.NotAfter) }

func (s *session) wanted(it listed) bool {
	if s.opts.CertName != "" && it.Name != s.opts.CertName {
		return false
	}
	return !slices.ContainsFunc(s.opts.Domains, func(id identifier.Identifier) bool { return !slices.Contains(it.Domains, id.Value) })
}

func (it listed) text(now time.Time) string {
	return fmt.Sprintf("  Certificate Name: %s\n    Serial Number: %s\n    Key Type: %s\n    Domains: %s\n    Expiry Date: %s (%s)\n"+
		"    Certificate Path: %s\n    Private Key Path: %s",
		it.Name, it.Serial, it.KeyType, strings.Join(it.Domains, " "), it.Expires.Format("2006-01-02 15:04:05-07:00"),
		it.status(now), it.Cert, it.Key)
}

func (it listed) status(now time.Time) string {
	var why []string
	if strings.Contains(it.Server, "staging") {
		why = append(why, "TEST_CERT")
	}
	left := it.Expires.Sub(now)
	if left <= 0 {
		why = append(why, "EXPIRED")
	} else if it.Revoked {
		why = append(why, "REVOKED")
	}
	if len(why) > 0 {
		return "INVALID: " + strings.Join(why, ", ")
	}
	switch days := int(left / (24 * time.Hour)); days {
	case 0:
		return fmt.Sprintf("VALID: %d hour(s)", int(left/time.Hour))
	case 1:
		return "VALID: 1 day"
	default:
		return fmt.Sprintf("VALID: %d days", days)
	}
}
