package admin

import (
	"strings"
	"testing"
)

func TestRestoreTakesNoPasswordAsAnArgument(t *testing.T) {
	for _, url := range []string{"postgres://me:s3cret@db.example.org/x", "postgres://me@db.example.org/x?password=s3cret", "postgres://me@db.example.org/x?sslpassword=s3cret"} {
		var out, errs strings.Builder
		status := Main([]string{"restore", t.TempDir(), "--database", url}, "test", &out, &errs)
		if status != 2 || !strings.Contains(errs.String(), "PGPASSFILE") || strings.Contains(errs.String(), "s3cret") {
			t.Errorf("%s: exit status %d, %q", url, status, errs.String())
		}
	}
}
