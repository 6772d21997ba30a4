package identifier

import (
	"strings"
	"testing"
)

func TestAncestors(t *testing.T) {
	for name, want := range map[string]string{"a.b.example.org": "b.example.org example.org", "*.b.example.org": "example.org", "example.org": "", "127.0.0.1": ""} {
		id, err := Parse(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(Values(id.Ancestors()), " "); got != want {
			t.Errorf("above %s are %q; want %q", name, got, want)
		}
	}
}
