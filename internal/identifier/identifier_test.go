package identifier

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestParseGivesOneFormForEachName(t *testing.T) {
	for in, want := range map[string]Identifier{
		"www.example.org":       {DNS, "www.example.org"},
		"WWW.Example.ORG.":      {DNS, "www.example.org"},
		"*.Example.org":         {DNS, "*.example.org"},
		"bücher.example":        {DNS, "xn--bcher-kva.example"},
		"xn--bcher-kva.EXAMPLE": {DNS, "xn--bcher-kva.example"},
		"r3---sn-x.example":     {DNS, "r3---sn-x.example"},
		"192.0.2.7":             {IP, "192.0.2.7"},
		"::ffff:192.0.2.7":      {IP, "192.0.2.7"},
		"2001:DB8:0::1":         {IP, "2001:db8::1"},
	} {
		got, err := Parse(in)
		if err != nil || got != want {
			t.Errorf("Parse(%q) = %v, %v; want %v", in, got, err, want)
		}
		if again, err := got.Canonical(); err != nil || again != got {
			t.Errorf("Canonical(%v) = %v, %v; want it unchanged", got, again, err)
		}
	}
}

func TestParseSaysWhatIsWrong(t *testing.T) {
	for in, want := range map[string]string{
		"":                                   "empty",
		"localhost":                          "two labels",
		"https://www.example.org":            "bare name",
		"www.example.org/x":                  "bare name",
		"www.example.org:443":                "bare name",
		"a b.example":                        "bare name",
		"w*.example.org":                     "whole first label",
		"*.*.example.org":                    "whole first label",
		"*.":                                 "empty label",
		"a..example":                         "empty label",
		"-a.example":                         "hyphen",
		"a_b.example":                        "underscore",
		strings.Repeat("a", 64) + ".example": "63 characters",
		"1.2.3.4.5":                          "number",
		"a\x00.test":                         "not a domain name",
	} {
		if got, err := Parse(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%q) = %v, %v; want an error with %q", in, got, err, want)
		}
	}
	if _, err := (Identifier{"email", "a@b.example"}).Canonical(); !errors.Is(err, ErrType) {
		t.Errorf("an unknown type gives %v, want ErrType", err)
	}
}

func TestClientsMayOrderLocalNames(t *testing.T) {
	for text, want := range map[string]string{"mail": "mail", "Mail.": "mail", "bücher": "xn--bcher-kva", "a.example.org": "a.example.org", "192.0.2.1": "192.0.2.1", "2001:db8::1": "2001:db8::1"} {
		if id, err := ParseLocal(text); err != nil || id.Value != want {
			t.Errorf("%q: %v, %v", text, id, err)
		}
	}
	for _, text := range []string{"", ".", "7", "a b", "under_score", "*", "http://x", "a..b"} {
		if id, err := ParseLocal(text); err == nil {
			t.Errorf("%q is taken for %v", text, id)
		}
	}
}

// A name of 60 KB made of as many different characters as there can be cost 13 seconds.
func TestLongNamesAreRefusedBeforeTheyCostMuch(t *testing.T) {
	var many strings.Builder
	for r := rune(0x4e00); many.Len() < 60_000; r++ {
		many.WriteRune(r)
	}
	for name, want := range map[string]string{
		many.String() + ".example":              "253 characters",
		many.String()[:3*127] + ".example":      "63 characters",
		strings.Repeat("a.", 30_000) + "org":    "253 characters",
		strings.Repeat("é.", 200) + "example":   "not a domain name",
		"xn--" + strings.Repeat("a", 60_000):    "253 characters",
		strings.Repeat("a。", 100) + "b.example": "",
	} {
		begin := time.Now()
		_, err := Parse(name)
		if took := time.Since(begin); took > time.Second {
			t.Errorf("%.20q… takes %v", name, took)
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 300) {
			t.Errorf("%.20q…: %.300v; want %q", name, err, want)
		}
	}
	if id, err := Parse(strings.Repeat("e\u0301", 40) + ".example"); err != nil {
		t.Errorf("letters with their accents apart: %v, %v", id, err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"www.example.org", "*.bücher.example", "2001:db8::1", "xn--a.example", "a.", "*."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := Parse(s)
		if err != nil {
			return
		}
		again, err := Parse(id.Value)
		if err != nil || again != id {
			t.Fatalf("Parse(%q) = %q, which parses to %v, %v", s, id.Value, again, err)
		}
	})
}
