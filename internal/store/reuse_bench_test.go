package store

import (
	"fmt"
	"path/filepath"
	"testing"
)

func BenchmarkReusableAuthzs(b *testing.B) {
	s, err := Open(b.Context(), filepath.Join(b.TempDir(), "test.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for _, n := range []int{1, 2, 4} {
		values := make([]string, n)
		for i := range values {
			values[i] = fmt.Sprintf("h%d.example.org", i)
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				if _, err := s.ReusableAuthzs(b.Context(), 1, values, day); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
