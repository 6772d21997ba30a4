package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// pageRuns is how often each page is loaded, after once to warm up.
const pageRuns = 20

// What a page shall stay below.
const (
	pageMost  = 50 * time.Millisecond
	bytesMost = 100_000
)

// measurePortal prints how long the pages of the portal take with many hosts and
// certificates on record, for somebody with thousands of hosts and for an operator.
func measurePortal(ctx context.Context, o *options, dir string) error {
	if o.portalDev != "" {
		return printPages(ctx, o.portalDev)
	}
	fmt.Printf("\npages of the portal, with %d hosts and %d certificates: time of the request at a kept connection, %d of each\n", o.portalSize, 10*o.portalSize, pageRuns)
	for _, d := range []string{"SQLite", "PostgreSQL"} {
		if !strings.Contains(d, o.server) {
			continue
		}
		fmt.Printf("\n  %s\n", d)
		err := o.measurePages(ctx, filepath.Join(dir, d), d == "PostgreSQL")
		if errors.Is(err, errNoPostgres) {
			fmt.Println("    left out:", err)
		} else if err != nil {
			return fmt.Errorf("%s: %w", d, err)
		}
		if err := os.RemoveAll(filepath.Join(dir, d)); err != nil {
			return err
		}
	}
	return nil
}

// measurePages is for one kind of database.
func (o *options) measurePages(ctx context.Context, dir string, onPostgres bool) error {
	if err := os.MkdirAll(dir, 0o711); err != nil { // PostgreSQL's user must come through
		return err
	}
	s := new(server)
	dev := filepath.Join(dir, "server")
	args := []string{"dev", "--dir", dev, "--listen", "127.0.0.1:0", "--log-level", "error", "--demo-size", strconv.Itoa(o.portalSize)}
	if onPostgres {
		db, err := startPostgres(ctx, filepath.Join(dir, "postgres"))
		if err != nil {
			return err
		}
		defer db.stop()
		args = append(args, "--database", db.url+"bench?sslmode=disable")
	}
	s.cmd = exec.CommandContext(ctx, o.vidimusd, args...)
	begin := time.Now()
	if err := s.start(); err != nil {
		return err
	}
	defer s.stop()
	for {
		if _, err := os.Stat(filepath.Join(dev, "dev.json")); err == nil {
			break
		}
		select {
		case <-s.ended:
			return fmt.Errorf("vidimusd ended: %s", s.log.String())
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	fmt.Printf("    made up and started in %s\n", time.Since(begin).Round(time.Second))
	return printPages(ctx, dev)
}

// printPages measures the pages of a "vidimusd dev" that runs in a folder.
func printPages(ctx context.Context, dev string) error {
	var info struct {
		Portal string
		People []struct{ Login, Password string }
	}
	data, err := os.ReadFile(filepath.Join(dev, "dev.json"))
	if err == nil {
		err = json.Unmarshal(data, &info)
	}
	if err != nil {
		return err
	}
	site, _, _ := strings.Cut(info.Portal, "/portal")
	if err := waitForStatistics(ctx, site, info.People[len(info.People)-1].Login, info.People[len(info.People)-1].Password); err != nil {
		return err
	}
	fmt.Println("    who             page                                              p50        max   page KB   first load KB")
	for _, p := range info.People {
		if p.Login != "ada" && p.Login != "operator" {
			continue
		}
		v, err := logIn(ctx, site, p.Login, p.Password)
		if err != nil {
			return err
		}
		if err := v.printPages(ctx, p.Login); err != nil {
			return err
		}
		v.CloseIdleConnections()
	}
	return nil
}

// visitor is somebody who is logged in to the portal.
type visitor struct {
	*http.Client
	site string
	had  map[string]int // bytes of what pages refer to, by URL
}

// logIn logs somebody in by their password.
func logIn(ctx context.Context, site, login, password string) (*visitor, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	v := &visitor{&http.Client{Jar: jar, Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}, site, map[string]int{}}
	page, _, err := v.get(ctx, "/portal/login")
	if err != nil {
		return nil, err
	}
	form := url.Values{"login": {login}, "password": {password}}
	if m := csrfField.FindStringSubmatch(page); m != nil {
		form.Set("csrf", m[1])
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, site+"/portal/login", strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := v.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || !strings.HasSuffix(resp.Request.URL.Path, "/portal/hosts") {
		return nil, fmt.Errorf("%s could not log in: %s at %s", login, resp.Status, resp.Request.URL)
	}
	return v, nil
}

var (
	csrfField  = regexp.MustCompile(`name="csrf" value="([^"]*)"`)
	pageLink   = regexp.MustCompile(`<a [^>]*href="(/portal/[^"]*)"([^>]*)`)
	staticLink = regexp.MustCompile(`"(/portal/static/[^"]*)"`)
	pageFile   = regexp.MustCompile(`export|certificates\.csv|format=|before=`)
	pageObject = regexp.MustCompile(`/(hosts|acme-ids|certificates|people|groups|sources)/[^/?]+`)
)

// get loads a page, and tells how long that took.
func (v *visitor) get(ctx context.Context, path string) (page string, took time.Duration, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, v.site+path, nil)
	if err != nil {
		return "", 0, err
	}
	begin := time.Now()
	resp, err := v.Do(r)
	if err != nil {
		return "", 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	took = time.Since(begin)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, resp.Status)
	}
	return string(body), took, err
}

// searches are pages that nothing leads to but what somebody types.
var searches = []string{"/portal/hosts?q=mail", "/portal/hosts?q=nothing-has-this", "/portal/acme-ids?q=mail", "/portal/certificates?host=www.physics.demo.uni.test", "/portal/certificates?state=revoked",
	"/portal/certificates?state=ending", "/portal/certificates?person=p00042", "/portal/people?q=42", "/portal/people?q=nothing-has-this", "/portal/audit?actor=p00042", "/portal/audit?object=www.physics.demo.uni.test",
	"/portal/audit?action=certificate.revoked&from=2026-01-01", "/portal/audit?action=host.removed"}

// printPages loads what the menu and its pages lead to, one page of each kind.
func (v *visitor) printPages(ctx context.Context, who string) error {
	seen := map[string]bool{}
	all := append([]string{"/portal/hosts"}, searches...)
	for ; len(all) > 0; all = all[1:] {
		path := strings.ReplaceAll(all[0], "&amp;", "&")
		kind := path
		if !slices.Contains(searches, path) {
			kind, _, _ = strings.Cut(pageObject.ReplaceAllString(path, "/$1/…"), "?")
		}
		if seen[kind] || pageFile.MatchString(path) {
			continue
		}
		seen[kind] = true
		page, err := v.printPage(ctx, who, path, kind)
		if err != nil && who != "operator" && strings.HasSuffix(err.Error(), "403 Forbidden") {
			continue
		}
		if err != nil {
			return err
		}
		for _, m := range pageLink.FindAllStringSubmatch(page, -1) {
			if !strings.Contains(m[2], "download") {
				all = append(all, m[1])
			}
		}
	}
	return nil
}

func (v *visitor) printPage(ctx context.Context, who, path, kind string) (page string, err error) {
	if page, _, err = v.get(ctx, path); err != nil {
		return "", err
	}
	took := make([]time.Duration, pageRuns)
	for i := range took {
		if _, took[i], err = v.get(ctx, path); err != nil {
			return "", err
		}
	}
	first := len(page)
	for _, m := range staticLink.FindAllStringSubmatch(page, -1) {
		n, err := v.size(ctx, m[1])
		if err != nil {
			return "", err
		}
		first += n
	}
	note := ""
	if quantile(took, 0.5) > pageMost {
		note += "  slow"
	}
	if first > bytesMost {
		note += "  large"
	}
	fmt.Printf("    %-15s %-45s %9s %10s %9.1f %15.1f%s\n", who, kind, ms(quantile(took, 0.5)), ms(slices.Max(took)), float64(len(page))/1000, float64(first)/1000, note)
	return page, nil
}

// size is how many bytes of a static file go over the wire.
func (v *visitor) size(ctx context.Context, path string) (int, error) {
	if n, ok := v.had[path]; ok {
		return n, nil
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, v.site+path, nil)
	if err != nil {
		return 0, err
	}
	r.Header.Set("Accept-Encoding", "gzip")
	resp, err := v.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	v.had[path] = int(n)
	return int(n), err
}

// waitForStatistics waits until the dashboard has its numbers, which are counted in the
// background once.
func waitForStatistics(ctx context.Context, site, login, password string) error {
	v, err := logIn(ctx, site, login, password)
	if err != nil {
		return err
	}
	defer v.CloseIdleConnections()
	for begin := time.Now(); time.Since(begin) < 2*time.Minute; time.Sleep(200 * time.Millisecond) {
		page, _, err := v.get(ctx, "/portal/dashboard")
		if err != nil {
			return err
		}
		if strings.Contains(page, "<svg") {
			return nil
		}
	}
	return errors.New("the dashboard has no numbers after two minutes")
}
