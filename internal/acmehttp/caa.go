package acmehttp

import (
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/identifier"
	"vidimus/internal/store"
	"vidimus/internal/validation"
)

// caaFresh is how long the look at CAA records that ended a validation is good for:
// eight hours (CA/Browser Forum Baseline Requirements §4.2.2.1), less the time that
// the look and the issuing may take.
const caaFresh = 8*time.Hour - 5*time.Minute

// checkCAA looks at the CAA records of an order's names once more, unless they were
// looked at not long ago. authzs are the order's, or nil when the host database
// grants the names, which have never been looked at then. The order stays ready, so
// that a client may finalize it when the records are right.
func (s *Server) checkCAA(r *request, o store.Order, authzs []store.Authz) error {
	if !s.Runner.ChecksCAA(r.dir.Name) {
		return nil
	}
	return s.Runner.CheckAllCAA(r.http.Context(), r.account, o.Identifiers, func(i int) string {
		if authzs == nil {
			return validation.MethodHostDatabase
		}
		method, fresh := s.validated(authzs[i], o.Identifiers[i])
		if fresh {
			return ""
		}
		return method
	})
}

// validated tells how control of a name was proved, and whether that was for this very
// name and not long ago, with a look at its CAA records: the configuration may not have
// asked for one then.
func (s *Server) validated(a store.Authz, id identifier.Identifier) (method string, fresh bool) {
	for _, c := range a.Challenges {
		if c.Status == acme.Valid {
			same := a.Identifier == id.Base() && a.Wildcard == id.Wildcard()
			return string(c.Type), same && s.Now().Sub(c.Validated) < caaFresh && validation.LookedAtCAA(c.Record)
		}
	}
	return validation.MethodHostDatabase, false
}
