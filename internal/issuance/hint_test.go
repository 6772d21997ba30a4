package issuance

import (
	"strings"
	"testing"
)

type hinter string

func (h hinter) Hint() string { return string(h) }

func TestTheHintIsAboutWhatFailed(t *testing.T) {
	for _, tt := range []struct {
		types           string
		records, server bool // what it is about
	}{
		{"unauthorized", false, true},
		{"unauthorized dns", false, true},
		{"caa", true, false},
		{"caa caa", true, false},
		{"connection caa", true, true},
	} {
		var failures []Failure
		for _, kind := range strings.Fields(tt.types) {
			failures = append(failures, Failure{Type: kind})
		}
		got := hintAbout(failures, hinter("Look at the server."))
		if strings.Contains(got, "A CAA record") != tt.records || strings.Contains(got, "Look at the server.") != tt.server {
			t.Errorf("%s: %s", tt.types, got)
		}
	}
}
