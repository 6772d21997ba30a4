package config

import (
	"strings"
	"testing"
)

func TestListenersHavePortsOfTheirOwn(t *testing.T) {
	for _, x := range []struct {
		a, b  string
		clash bool
	}{
		{"127.0.0.1:443", "127.0.0.1:443", true},
		{":443", "192.0.2.1:443", true},
		{"[::]:443", "127.0.0.1:443", true},
		{"0.0.0.0:443", "127.0.0.1:443", true},
		{"0.0.0.0:443", "localhost:443", true},
		{"0.0.0.0:443", "[2001:db8::1]:443", false},
		{"127.0.0.1:443", "127.0.0.2:443", false},
		{":443", ":80", false},
		{"127.0.0.1:0", "127.0.0.1:0", false},
		{":443", "", false},
	} {
		if clash(x.a, x.b) != x.clash || clash(x.b, x.a) != x.clash {
			t.Errorf("%s and %s: clash should be %v", x.a, x.b, x.clash)
		}
	}
	_, err := Parse([]byte(good+"listen_metrics: 0.0.0.0:14000\n"), caFolder(t))
	if want := "line 18: listen_metrics: 0.0.0.0:14000 is taken by listen (127.0.0.1:14000); give each a port of its own"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestMistakesOfKindAreInWordsOfTheFile and not in those of the program.
func TestMistakesOfKindAreInWordsOfTheFile(t *testing.T) {
	dir := caFolder(t)
	for _, x := range []struct{ text, want string }{
		{strings.Replace(good, "open: true", "open: maybe", 1), `line 12: "maybe" is wrong: here must stand true or false`},
		{strings.Replace(good, "[10.0.0.0/8, \"fd00::/8\"]", "10.0.0.0/8", 1), `line 16: "10.0.0.0/8" is wrong: here must stand a list, such as [one, two]`},
		{strings.Replace(good, "5002", "web", 1), `line 17: "web" is wrong: here must stand a whole number`},
		{strings.Replace(good, "website: https://example.org/pki", "website: [a]", 1), `line 13: here must stand one word or text, in quotes if it has special characters`},
		{good + "log: loud\n", `line 18: "loud" is wrong: here must stand keys with values`},
		{strings.Replace(good, "vidimusd.db", "mysql://root:secret@db.example.org/x", 1),
			`line 5: database: there are SQLite, by the name of a file, and PostgreSQL, by a URL that begins with postgres://; choose one of them`},
	} {
		if _, err := Parse([]byte(x.text), dir); err == nil || err.Error() != x.want {
			t.Errorf("got %v, want %s", err, x.want)
		}
	}
}
