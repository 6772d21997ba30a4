package issuer

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// rolling makes an issuer with three intermediates, the second of which begins in an
// hour and the third in two, and a clock to turn.
func rolling(t *testing.T) (i *Issuer, now *time.Time) {
	t.Helper()
	begin := time.Now().Add(-72 * time.Hour)
	now = &begin
	root := must(NewRoot("Test", begin))
	made := make([]*Intermediate, 3)
	for n := range made {
		ca := must(NewIssuing("Test", string(rune('A'+n)), root, begin))
		made[n] = intermediate(root, ca, begin.Add(time.Duration(n)*time.Hour))
	}
	first := newIssuer(t, nil)
	// In another order than that of time.
	return must(New(Issuer{Name: "main", Validity: first.Validity, Store: first.Store, Now: func() time.Time { return *now },
		Intermediates: []*Intermediate{made[2], made[0], made[1]}})), now
}

func TestTheIntermediateWhoseTimeCameLastSigns(t *testing.T) {
	i, now := rolling(t)
	begin := *now
	for _, tt := range []struct {
		after time.Duration
		want  string
	}{{0, "A"}, {time.Hour - time.Second, "A"}, {time.Hour, "B"}, {100 * time.Minute, "B"}, {2 * time.Hour, "C"}, {48 * time.Hour, "C"}} {
		*now = begin.Add(tt.after)
		c, err := i.Issue(t.Context(), request("www.example.org"))
		if err != nil {
			t.Fatal(err)
		}
		cert := verify(t, i, c.DER, "www.example.org")
		by := i.SignerOf(cert)
		if !strings.HasSuffix(by.CA.Subject.CommonName, " "+tt.want) || c.AuthorityKey != by.ID() {
			t.Errorf("after %s it is signed by %q, on record as %s", tt.after, by.CA.Subject, c.AuthorityKey)
		}
	}
	*now = begin.Add(-time.Second)
	if _, err := i.Issue(t.Context(), request("www.example.org")); err == nil || !strings.Contains(err.Error(), "signs yet") {
		t.Errorf("before any of them: %v", err)
	}
}

func TestAnUnfinishedIssuanceIsFinishedByTheKeyItWasPreparedFor(t *testing.T) {
	i, now := rolling(t)
	first := must(i.prepare(t.Context(), request("www.example.org")))
	if err := i.Store.BeginIssuance(t.Context(), first, ""); err != nil {
		t.Fatal(err)
	}
	signed := must(i.sign(&first)) // and then the power failed, for long
	*now = now.Add(3 * time.Hour)
	unfinished, err := i.Store.UnfinishedCertificates(t.Context())
	if err != nil || len(unfinished) != 1 {
		t.Fatalf("unfinished: %v, %v", unfinished, err)
	}
	if err := i.Finish(t.Context(), &unfinished[0]); err != nil || !bytes.Equal(unfinished[0].DER, signed) {
		t.Errorf("another certificate than was intended, or none: %v", err)
	}
	verify(t, i, unfinished[0].DER, "www.example.org")

	old := first // as an older vidimusd recorded it
	old.AuthorityKey = ""
	if again, err := i.sign(&old); err != nil || !bytes.Equal(again, signed) {
		t.Errorf("without the key's identifier on record: %v", err)
	}
	gone := must(New(Issuer{Name: "main", Validity: i.Validity, Store: i.Store, Intermediates: i.Intermediates[1:]}))
	if _, err := gone.sign(&first); err == nil || !strings.Contains(err.Error(), "put that one back") {
		t.Errorf("by an issuer that has lost the key: %v", err)
	}
}
