package validation

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"
)

const (
	// maxAnswer bounds what is read of an answer, its header fields with it.
	maxAnswer = 16<<10 + 2*maxBody
	// maxInformational is how many answers of 100 to 199 may come before the last.
	maxInformational = 5
)

// fetcher is an [http.RoundTripper] for http, with a connection for each request that is
// used once: without the goroutines and pools that a [http.Transport] has for others, which
// cost more than the request. What isn't http goes to other.
type fetcher struct {
	dial  func(ctx context.Context, network, addr string) (net.Conn, error)
	other http.RoundTripper
}

// RoundTrip implements [http.RoundTripper]. The request has no body.
func (f *fetcher) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "http" {
		return f.other.RoundTrip(req)
	}
	ctx := req.Context()
	conn, err := f.dial(ctx, "tcp", net.JoinHostPort(req.URL.Hostname(), cmp.Or(req.URL.Port(), "80")))
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(answerTimeout))
	body := &fetchedBody{conn: conn, stop: context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })}
	resp, err := getOnce(conn, req)
	if err != nil {
		body.Close()
		return nil, cmp.Or(ctx.Err(), err)
	}
	body.ReadCloser, resp.Body = resp.Body, body
	return resp, nil
}

// getOnce sends a request and reads the header of the answer.
func getOnce(conn net.Conn, req *http.Request) (*http.Response, error) {
	only := *req // a RoundTripper changes nothing of the caller's
	only.Close = true
	if err := only.Write(conn); err != nil {
		return nil, err
	}
	in := bufio.NewReaderSize(io.LimitReader(conn, maxAnswer), 2<<10)
	for range maxInformational {
		resp, err := http.ReadResponse(in, req)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			return resp, nil
		}
	}
	return nil, errors.New("too many informational answers")
}

// fetchedBody ends the connection with the body.
type fetchedBody struct {
	io.ReadCloser // nil until there is one
	conn          net.Conn
	stop          func() bool
}

// Close implements [io.Closer].
func (b *fetchedBody) Close() error {
	b.stop()
	return b.conn.Close() // what it has not sent yet nobody waits for
}
