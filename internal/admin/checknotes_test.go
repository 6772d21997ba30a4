package admin

import (
	"testing"
	"time"

	"vidimus/internal/config"
)

func TestCheckTellsWhichCASigns(t *testing.T) {
	at := func(day int) config.Date { return config.Date(time.Date(2027, 1, day, 0, 0, 0, 0, time.UTC)) }
	i := &config.Issuer{Name: "main", Intermediates: []config.Intermediate{
		{Certificate: "first.pem"}, {Certificate: "third.pem", From: at(20)}, {Certificate: "second.pem", From: at(10)}}}
	for day, want := range map[int]string{
		9:  "issuer main: first.pem signs until 2027-01-10T00:00:00Z, then second.pem",
		10: "issuer main: second.pem signs until 2027-01-20T00:00:00Z, then third.pem",
		21: "issuer main: third.pem signs",
	} {
		if got := turns(i, time.Time(at(day))); got != want {
			t.Errorf("on the %d.: %q, want %q", day, got, want)
		}
	}
	i.Intermediates = i.Intermediates[:1]
	if got := turns(i, time.Time(at(9))); got != "" {
		t.Errorf("of one CA: %q", got)
	}
}
