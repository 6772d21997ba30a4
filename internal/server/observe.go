package server

import (
	"errors"
	"net/http"
	"runtime/debug"
	"time"

	"vidimus/internal/requestid"
)

// observed counts each answer of next, gives its request an ID, and keeps a fault in
// the program from being silent.
func (s *Server) observed(next http.Handler) http.Handler {
	return requestid.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start, answer := time.Now(), &answer{ResponseWriter: w}
		defer func() {
			if p := recover(); p != nil {
				s.panicked(answer, r, p)
			}
			route := r.Pattern // the mux has set it
			if route == "" {
				route = "none"
			}
			s.metrics.Request(route, answer.status(), time.Since(start))
		}()
		next.ServeHTTP(answer, r)
	}))
}

func (s *Server) panicked(w *answer, r *http.Request, p any) {
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(p) // means only that the connection is to be cut
	}
	s.metrics.Panic()
	s.log.ErrorContext(r.Context(), "a fault in the program; please report it", "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
	if w.code == 0 {
		http.Error(w, "the server could not do that; tell its operators (request "+requestid.From(r.Context())+")", http.StatusInternalServerError)
		return
	}
	panic(http.ErrAbortHandler) // a part is sent: the client must see that it's not all
}

// answer remembers the status.
type answer struct {
	http.ResponseWriter
	code int // 0 before the header is written
}

func (a *answer) WriteHeader(code int) {
	if a.code == 0 && code >= 200 {
		a.code = code
	}
	a.ResponseWriter.WriteHeader(code)
}

func (a *answer) Write(data []byte) (int, error) {
	if a.code == 0 {
		a.code = http.StatusOK
	}
	return a.ResponseWriter.Write(data)
}

func (a *answer) status() int {
	if a.code == 0 {
		return http.StatusOK
	}
	return a.code
}

// Unwrap is for [http.ResponseController].
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
