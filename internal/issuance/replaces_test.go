package issuance

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
)

// TestOldCertificateNeverHindersItsRenewal is about CAs that do not take "replaces".
func TestOldCertificateNeverHindersItsRenewal(t *testing.T) {
	for _, c := range []struct {
		status  int
		problem string
		again   bool
	}{
		{http.StatusConflict, "alreadyReplaced", true},
		{http.StatusNotFound, "malformed", true},
		{http.StatusInternalServerError, "serverInternal", true},
		{http.StatusForbidden, "rejectedIdentifier", false},
		{http.StatusTooManyRequests, "rateLimited", false},
	} {
		t.Run(c.problem, func(t *testing.T) {
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Replay-Nonce", "n")
				var order struct{ Replaces string }
				payloadOf(r, &order)
				switch {
				case r.URL.Path == "/nonce":
				case order.Replaces != "":
					refuse(c.status, c.problem)(w, r)
				default:
					w.Header().Set("Location", testURL+"/order/1")
					w.WriteHeader(http.StatusCreated)
					fmt.Fprint(w, `{"status":"ready"}`)
				}
			})
			bubble(t, h, func(t *testing.T, ca *CA) {
				order, err := ca.newOrder(t.Context(), Account{newKey(t), testURL + "/acct"}, Request{Replaces: "aki.serial"})
				var e *Error
				if c.again && (err != nil || order.Status != "ready") || !c.again && (!errors.As(err, &e) || e.Type != c.problem) {
					t.Errorf("%+v, %v", order, err)
				}
			})
		})
	}
}
