package validation

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"vidimus/internal/acme"
	"vidimus/internal/identifier"
)

const (
	maxRedirects = 10
	maxBody      = 4 << 10 // bytes; a key authorization has some 90
	// answerTimeout bounds the wait for one answer of a server that is connected to.
	answerTimeout = 10 * time.Second
)

// http01 fetches the key authorization from the well-known path of RFC 8555 §8.3,
// through redirects to http and https on the ports of web servers.
func (a *attempt) http01(ctx context.Context) *acme.Problem {
	id, port := a.Identifier, cmp.Or(a.HTTPPort, 80)
	u := url.URL{Scheme: "http", Host: urlHost(id), Path: "/.well-known/acme-challenge/" + a.Token}
	if port != 80 {
		u.Host = net.JoinHostPort(id.Value, strconv.Itoa(port))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return acme.Problemf(acme.Malformed, "http-01 of %s: %v", id, err)
	}
	req.Header.Set("User-Agent", a.UserAgent)
	req.Header.Set("Accept", "*/*")

	resp, err := a.client(port).Do(req)
	if err != nil {
		return a.fetchProblem(&u, err)
	}
	defer resp.Body.Close()
	at := a.shown(&u, resp.Request.URL) // after redirects
	if resp.StatusCode != http.StatusOK {
		return acme.Problemf(acme.Unauthorized, "%s answered %s", at, a.status(resp))
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	switch {
	case err != nil:
		return acme.Problemf(acme.Connection, "reading %s: %v", at, a.unquoted(err))
	case len(body) > maxBody:
		return acme.Problemf(acme.Unauthorized, "%s answered with more than %d bytes", at, maxBody)
	}
	if got := strings.TrimRight(string(body), " \t\r\n"); got != a.KeyAuthorization {
		return acme.Problemf(acme.Unauthorized, "%s did not answer with the key authorization %q but with %s", at, a.KeyAuthorization, a.quoted(got))
	}
	return nil
}

// client makes a client for one validation. It asks our own resolver, keeps no
// connection, knows no proxy, and takes any certificate where it is redirected to
// https: the site may well be waiting for its first.
func (a *attempt) client(port int) *http.Client {
	ports := []string{"80", "443", strconv.Itoa(port), strconv.Itoa(cmp.Or(a.TLSPort, 443))}
	dial := func(ctx context.Context, _, addr string) (net.Conn, error) {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		n, err := strconv.Atoi(port)
		if err != nil {
			return nil, err
		}
		conn, problem := a.dial(ctx, host, n)
		if problem != nil {
			return nil, a.redirected(host, problem)
		}
		return conn, nil
	}
	secure := &http.Transport{
		DialContext:            dial,
		TLSClientConfig:        &tls.Config{InsecureSkipVerify: true},
		TLSHandshakeTimeout:    answerTimeout,
		ResponseHeaderTimeout:  answerTimeout,
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: 16 << 10,
	}
	return &http.Client{Transport: &fetcher{dial, secure}, CheckRedirect: func(req *http.Request, via []*http.Request) error {
		to := req.URL
		port := cmp.Or(to.Port(), map[string]string{"http": "80", "https": "443"}[to.Scheme])
		refuse := func(why string) error {
			return acme.Problemf(acme.Connection, "redirected to %s, %s", a.target(to), why)
		}
		switch {
		case len(via) >= maxRedirects:
			return refuse(fmt.Sprintf("after %d redirects", maxRedirects))
		case to.Scheme != "http" && to.Scheme != "https":
			return refuse("which is neither http nor https")
		case !slices.Contains(ports, port):
			return refuse("which is not on the port of a web server")
		case to.User != nil:
			return refuse("which has a user name in it")
		}
		if to.Hostname() != a.Identifier.Value { // which may be an address
			if _, err := identifier.ParseDNS(to.Hostname()); err != nil {
				return refuse("which is not at a host name")
			}
		}
		req.Header.Del("Referer")
		return nil
	}}
}

// fetchProblem finds the problem document inside what the HTTP client wraps it in.
func (a *attempt) fetchProblem(u *url.URL, err error) *acme.Problem {
	var problem *acme.Problem
	if errors.As(err, &problem) {
		return acme.Problemf(problem.Type, "fetching %s: %s", u, problem.Detail)
	}
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	return acme.Problemf(acme.Connection, "fetching %s: %v", u, a.unquoted(err))
}
