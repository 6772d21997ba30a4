package requestid_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"vidimus/internal/requestid"
)

func TestResponseAndLogShareAnIDThatTheClientDidNotChoose(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(requestid.Log(slog.NewTextHandler(&out, nil)))
	h := requestid.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		log.InfoContext(r.Context(), "plain")
		log.WithGroup("g").With("a", 1).InfoContext(r.Context(), "grouped", "b", 2)
		log.Info("without")
	}))
	seen := make(map[string]bool)
	for range 3 {
		out.Reset()
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set(requestid.Header, "chosen")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		id := w.Header().Get(requestid.Header)
		if len(id) < 20 || id == "chosen" || seen[id] {
			t.Fatalf("the ID is %q", id)
		}
		seen[id] = true
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if !strings.HasSuffix(lines[0], "msg=plain request="+id) {
			t.Errorf("a line without a group: %s", lines[0])
		}
		if !strings.HasSuffix(lines[1], "msg=grouped request="+id+" g.a=1 g.b=2") {
			t.Errorf("a line with a group: %s", lines[1])
		}
		if strings.Contains(lines[2], "request=") {
			t.Errorf("a line without a context: %s", lines[2])
		}
	}
}
