package validation

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/miekg/dns"

	"vidimus/internal/acme"
)

// dns01 looks for the digest of the key authorization among the TXT values at a name:
// that of dns-01 (RFC 8555 §8.4), or of dns-account-01.
func (a *attempt) dns01(ctx context.Context, name string) *acme.Problem {
	rrs, err := a.lookup(ctx, name, dns.TypeTXT)
	if err != nil {
		return acme.Problemf(acme.DNS, "looking up TXT of %s: %v", name, err)
	}
	sum := sha256.Sum256([]byte(a.KeyAuthorization))
	want := base64.RawURLEncoding.EncodeToString(sum[:])
	values := texts(rrs)
	for _, got := range values {
		if got == want {
			return nil
		}
	}
	if len(values) == 0 {
		return acme.Problemf(acme.Unauthorized, "there is no TXT record at %s", name)
	}
	return acme.Problemf(acme.Unauthorized, "no TXT record at %s is the expected %q; found %q%s", name, want, clip(values[0]), andMore(len(values)))
}

// texts are the values of TXT records, each in one piece.
func texts(rrs []dns.RR) (values []string) {
	for _, rr := range rrs {
		if txt, ok := rr.(*dns.TXT); ok {
			values = append(values, strings.Join(txt.Txt, ""))
		}
	}
	return values
}

func andMore(n int) string {
	if n < 2 {
		return ""
	}
	return fmt.Sprintf(" (and %d more)", n-1)
}

// accountLabel tells the accounts of one name apart in dns-account-01.
func accountLabel(account string) string {
	sum := sha256.Sum256([]byte(account))
	return "_" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:10]))
}
