package hostsource

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"vidimus/internal/config"
)

// files reads files, and what is at https URLs.
type files struct {
	c      *config.Files
	client *http.Client
	token  string
}

func openFiles(c *config.Files) (*files, error) {
	t, err := clientTLS(c.CA)
	if err != nil {
		return nil, err
	}
	f := &files{c: c}
	if c.TokenFile != "" {
		if f.token, err = secret(c.TokenFile); err != nil {
			return nil, err
		}
	}
	f.client = &http.Client{Transport: newTransport(t), CheckRedirect: func(next *http.Request, before []*http.Request) error {
		switch {
		case next.URL.Scheme != "https":
			return fmt.Errorf("it redirects to %s, which is not https", next.URL.Redacted())
		case len(before) >= 5:
			return errors.New("it redirects more than five times")
		}
		return nil
	}}
	return f, nil
}

func newTransport(t *tls.Config) *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSClientConfig:       t,
		TLSHandshakeTimeout:   dialTimeout,
		ResponseHeaderTimeout: requestTimeout,
		ForceAttemptHTTP2:     true,
		DisableKeepAlives:     true, // it is minutes to the next request
	}
}

// read gives each file, or none where none has changed since the mark.
func (f *files) read(ctx context.Context, mark string, from []string, each func(i int, in io.Reader) error) (Reading, error) {
	before := make(map[string]string)
	if mark != "" {
		if err := json.Unmarshal([]byte(mark), &before); err != nil {
			return Reading{}, fmt.Errorf("the mark on record: %w", err)
		}
	}
	unchanged := mark != ""
	for _, name := range from {
		if !unchanged {
			break
		}
		in, _, err := f.open(ctx, name, before[name])
		if err != nil {
			return Reading{}, fmt.Errorf("%s: %w", name, err)
		}
		if in != nil {
			in.Close()
		}
		unchanged = in == nil
	}
	if unchanged {
		return Reading{Mark: mark, Unchanged: true}, nil
	}
	now := make(map[string]string)
	for i, name := range from {
		var err error
		if now[name], err = f.readOne(ctx, name, func(in io.Reader) error { return each(i, in) }); err != nil {
			return Reading{}, fmt.Errorf("%s: %w", name, err)
		}
	}
	for _, m := range now {
		if m == "" { // one that doesn't say whether it has changed
			return Reading{}, nil
		}
	}
	data, err := json.Marshal(now)
	return Reading{Mark: string(data)}, err
}

func (f *files) readOne(ctx context.Context, name string, each func(io.Reader) error) (mark string, err error) {
	in, mark, err := f.open(ctx, name, "")
	if err != nil {
		return "", err
	}
	defer in.Close()
	return mark, each(&limited{in: in, left: f.c.MaxSize, most: f.c.MaxSize})
}

// limited is an error, not an end, for what is too large.
type limited struct {
	in         io.Reader
	left, most int64
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		if n, err := l.in.Read(make([]byte, 1)); n == 0 {
			return 0, err
		}
		return 0, fmt.Errorf("it is larger than max_size, %d bytes", l.most)
	}
	n, err := l.in.Read(p[:min(int64(len(p)), l.left)])
	l.left -= int64(n)
	return n, err
}

// open opens what has a name, unless it is as it was at the mark before; in is nil then.
func (f *files) open(ctx context.Context, name, before string) (in io.ReadCloser, mark string, err error) {
	if strings.HasPrefix(name, "https://") {
		return f.get(ctx, name, before)
	}
	file, err := os.Open(name)
	if err != nil {
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return nil, "", err
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, "", err
	}
	if !info.Mode().IsRegular() {
		file.Close()
		return nil, "", errors.New("it is not a file")
	}
	mark = fileMark(info)
	if before != "" && mark == before {
		file.Close()
		return nil, mark, nil
	}
	return file, mark, nil
}

// fileMark tells a file that has not been changed; "" for one that is so new that another
// change might be in the same moment.
func fileMark(info fs.FileInfo) string {
	if time.Since(info.ModTime()) < 2*time.Second {
		return ""
	}
	ino := uint64(0)
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		ino = s.Ino
	}
	return fmt.Sprintf("%d %d %d", info.ModTime().UnixNano(), info.Size(), ino)
}

func (f *files) get(ctx context.Context, url, before string) (io.ReadCloser, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, "", err
	}
	req.Header.Set("Accept", "application/json, text/csv, */*;q=0.1")
	if f.token != "" {
		req.Header.Set("Authorization", "Bearer "+f.token)
	}
	kind, value, _ := strings.Cut(before, " ")
	switch kind {
	case "etag":
		req.Header.Set("If-None-Match", value)
	case "modified":
		req.Header.Set("If-Modified-Since", value)
	}
	res, err := f.client.Do(req)
	if err != nil {
		return nil, "", err
	}
	switch {
	case res.StatusCode == http.StatusNotModified && before != "":
		res.Body.Close()
		return nil, before, nil
	case res.StatusCode != http.StatusOK:
		res.Body.Close()
		return nil, "", fmt.Errorf("the server answers %s", res.Status)
	}
	mark := ""
	if tag := res.Header.Get("ETag"); tag != "" && len(tag) < 512 {
		mark = "etag " + tag
	} else if at := res.Header.Get("Last-Modified"); at != "" && len(at) < 64 {
		mark = "modified " + at
	}
	return res.Body, mark, nil
}
