package issuer

import (
	"testing"

	"vidimus/internal/certificate"
	"vidimus/internal/lint"
)

func TestAnOCSPRespondersCertificatePassesLint(t *testing.T) {
	for _, rules := range []lint.Rules{lint.Private, lint.Public} {
		i := newIssuer(t, nil)
		i.Linter = must(lint.New(rules, nil))
		if _, err := i.CertifyResponder(t.Context(), i.Current(), must(certificate.KeySpec{}.Generate()).Public()); err != nil {
			t.Errorf("by %s rules: %v", rules, err)
		}
	}
}
