package config

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestKeepStale(t *testing.T) {
	dir := caFolder(t)
	for text, want := range map[string]time.Duration{"": DefaultKeepStale, "keep_stale: 1d\n": 24 * time.Hour, "keep_stale: 3650d\n": MaxKeepStale} {
		if c, err := Parse([]byte(good+text), dir); err != nil || time.Duration(c.KeepStale) != want {
			t.Errorf("%q: %v, %v; want %v", text, c.KeepStale, err, want)
		}
	}
	line := strings.Count(good, "\n") + 1
	for _, text := range []string{"keep_stale: 23h\n", "keep_stale: 3651d\n", "keep_stale: -8d\n", "keep_stale: long\n"} {
		_, err := Parse([]byte(good+text), dir)
		var m Mistakes
		if !errors.As(err, &m) || len(m) != 1 || m[0].Line != line {
			t.Errorf("%q: %v; want one mistake in line %d", text, err, line)
		}
	}
}
