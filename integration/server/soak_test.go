package server

import (
	"os"
	"strconv"
	"testing"
)

// soak tells how many kills a test is to do: few, or as many as VIDIMUS_SOAK says. With
// that it is long, and tests that wait for minutes are run too.
func soak(t *testing.T, few int) (kills int, long bool) {
	t.Helper()
	text := os.Getenv("VIDIMUS_SOAK")
	if text == "" {
		return few, false
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("VIDIMUS_SOAK=%s is no number of kills; set it to 200, say", text)
	}
	return n, true
}
