package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	program := func() { os.Exit(run()) }
	testscript.Main(m, map[string]func(){"vidimus": program, "certbot": program})
}

// TestScripts runs testdata/*.txtar, one for each behaviour of the command line
// that needs no CA.
func TestScripts(t *testing.T) {
	// Servers that are not what --server should name.
	html := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, "<html><body>Welcome to nginx!</body></html>")
	}))
	t.Cleanup(html.Close)
	json := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"hello": "world"}`)
	}))
	t.Cleanup(json.Close)
	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for r.Context().Err() == nil {
			fmt.Fprint(w, strings.Repeat(" ", 1<<16))
		}
	}))
	t.Cleanup(endless.Close)
	tls := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(tls.Close)
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody.Close()

	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("HTML", html.URL)
			e.Setenv("JSON", json.URL)
			e.Setenv("ENDLESS", endless.URL)
			e.Setenv("TLS", tls.URL)
			e.Setenv("NOBODY", "http://"+nobody.Addr().String())
			e.Setenv("DIRS", "--config-dir=c")
			return os.WriteFile(e.WorkDir+"/dirs.ini", []byte("config-dir = c\nwork-dir = w\nlogs-dir = l\n"), 0o644)
		},
	})
}
