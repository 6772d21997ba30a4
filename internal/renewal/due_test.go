package renewal

import (
	"context"
	"crypto/x509"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"vidimus/internal/issuance"
)

var day = 24 * time.Hour

func cert(life time.Duration) *x509.Certificate {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	return &x509.Certificate{NotBefore: start, NotAfter: start.Add(life), SerialNumber: big.NewInt(7), AuthorityKeyId: []byte{1}}
}

type says struct {
	w   issuance.Window
	err error
}

func (s says) RenewalInfo(context.Context, string) (issuance.Window, error) { return s.w, s.err }

func TestDueAt(t *testing.T) {
	start := cert(0).NotBefore
	window := func(from, to time.Duration) says {
		return says{w: issuance.Window{Start: start.Add(from), End: start.Add(to)}}
	}
	for name, c := range map[string]struct {
		life        time.Duration
		before      string
		ask         Asker
		from, until time.Duration // since issuance
	}{
		"a third of 90 days":                  {90 * day, "", nil, 60 * day, 60 * day},
		"half of 6 days":                      {6 * day, "", nil, 3 * day, 3 * day},
		"renew_before_expiry":                 {90 * day, "10 days", nil, 80 * day, 80 * day},
		"the CA is asked first":               {90 * day, "", window(20*day, 21*day), 20 * day, 21 * day},
		"the CA may want it later":            {90 * day, "", window(70*day, 71*day), 70 * day, 71 * day},
		"an admin may want it earlier":        {90 * day, "80 days", window(70*day, 71*day), 10 * day, 10 * day},
		"the CA may want it before the admin": {90 * day, "10 days", window(70*day, 71*day), 70 * day, 71 * day},
		"a window after expiry is nonsense":   {90 * day, "", window(100*day, 101*day), 60 * day, 60 * day},
		"a CA without renewal information":    {90 * day, "", says{err: issuance.ErrNoRenewalInfo}, 60 * day, 60 * day},
		"a CA that is down":                   {90 * day, "", says{err: errors.New("down")}, 60 * day, 60 * day},
	} {
		at, why, err := DueAt(t.Context(), cert(c.life), c.before, c.ask)
		if since := at.Sub(start); since < c.from || since > c.until {
			t.Errorf("%s: due %v after issuance (%s), want %v to %v", name, since, why, c.from, c.until)
		}
		if (err != nil) != strings.HasSuffix(name, "down") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMomentIsStableAndSpread(t *testing.T) {
	start := time.Unix(0, 0)
	for length, last := range map[time.Duration]time.Duration{
		1000 * time.Second: 500 * time.Second,
		20 * time.Hour:     10 * time.Hour,
		48 * time.Hour:     36 * time.Hour, // the next run, within twelve hours, is in time
	} {
		w := issuance.Window{Start: start, End: start.Add(length)}
		early := 0
		for i := range 1000 {
			id := big.NewInt(int64(i)).String()
			at := moment(w, id)
			if !at.Equal(moment(w, id)) {
				t.Fatal("another moment each time")
			}
			if at.Before(start) || !at.Before(start.Add(last)) {
				t.Fatalf("%v: %v is too late or too early", length, at.Sub(start))
			}
			if at.Before(start.Add(last / 2)) {
				early++
			}
		}
		if early < 400 || early > 600 {
			t.Errorf("%v: %d of 1000 moments are in the first half", length, early)
		}
	}
	if at := moment(issuance.Window{Start: start, End: start}, "x"); !at.Equal(start) {
		t.Errorf("an empty window: %v", at)
	}
}

func TestParseInterval(t *testing.T) {
	for text, want := range map[string]time.Duration{"30 days": 30 * day, "30": 30 * day, "3 weeks": 21 * day, "6 months 1 week": 187 * day,
		"3 days 12 hours": 84 * time.Hour, "10d": 10 * day, "1 year": 365 * day} {
		if got, err := parseInterval(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "soon", "-1 days", "5 parsecs", "days", "99999999 years"} {
		if got, err := parseInterval(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}
