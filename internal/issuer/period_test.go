package issuer

import (
	"strings"
	"testing"
	"time"
)

func TestPeriodKeepsToWhatIsAskedForWithinItsLimits(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 500, time.UTC)
	at := now.Truncate(time.Second).Add
	i := &Issuer{Now: func() time.Time { return now }}
	p := &Profile{Validity: 90 * 24 * time.Hour}
	const day, second = 24 * time.Hour, time.Second
	var none time.Time
	for _, tt := range []struct {
		name                string
		notBefore, notAfter time.Time
		begin, end          time.Time
		refused             string
	}{
		{name: "nothing", begin: at(-time.Hour), end: at(90*day - time.Hour - second)},
		{name: "an end", notAfter: at(20 * day), begin: at(-time.Hour), end: at(20 * day)},
		{name: "the latest end that begins an hour ago", notAfter: at(90*day - time.Hour - second), begin: at(-time.Hour), end: at(90*day - time.Hour - second)},
		{name: "an end for which it begins later", notAfter: at(90*day - second), begin: at(0), end: at(90*day - second)},
		{name: "an end too late", notAfter: at(91 * day), refused: "2026-05-30T10:59:59Z"},
		{name: "an end too early", notAfter: at(time.Minute), refused: "2026-03-01T13:00:00Z"},
		{name: "a beginning", notBefore: at(day), begin: at(day), end: at(91*day - second)},
		{name: "both", notBefore: at(day), notAfter: at(2 * day), begin: at(day), end: at(2 * day)},
		{name: "both, too long", notBefore: at(0), notAfter: at(90 * day), refused: "2026-05-30T11:59:59Z"},
		{name: "the end first", notBefore: at(day), notAfter: at(day), refused: "between 2026-03-02T13:00:00Z and 2026-05-31T11:59:59Z"},
		{name: "a beginning too early", notBefore: at(-2 * time.Hour), refused: "between 2026-03-01T11:00:00Z and 2026-03-03T12:00:00Z"},
		{name: "a beginning too late", notBefore: at(49 * time.Hour), notAfter: none, refused: "notBefore is 2026-03-03T13:00:00Z"},
	} {
		problem := i.CheckPeriod(p, tt.notBefore, tt.notAfter)
		if tt.refused != "" {
			if problem == nil || !strings.Contains(problem.Detail, tt.refused) {
				t.Errorf("%s: %v; want %q", tt.name, problem, tt.refused)
			}
			continue
		}
		begin, end, _ := i.period(p, tt.notBefore, tt.notAfter)
		if problem != nil || !begin.Equal(tt.begin) || !end.Equal(tt.end) {
			t.Errorf("%s: %v, from %s to %s; want from %s to %s", tt.name, problem, begin, end, tt.begin, tt.end)
		}
	}
}
