// Package portal holds the tests of the portal's pages in a real browser, Debian's
// Chromium, before a real server. What the pages look like is in the folder screenshots
// afterwards.
package portal

import (
	"context"
	_ "embed"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"vidimus/integration/peer"
	"vidimus/internal/store/postgrestest"
)

// chromium is the one browser of all tests, which starts with the first.
var chromium struct {
	once sync.Once
	ctx  context.Context
	stop func()
	err  error
}

func TestMain(m *testing.M) {
	code := postgrestest.Main(m)
	if chromium.stop != nil {
		chromium.stop()
	}
	os.Exit(code)
}

// startChromium starts the browser, which trusts any certificate: what it talks to is on
// this machine.
func startChromium(path string) {
	dir, err := os.MkdirTemp("", "vidimus-chromium-")
	if err != nil {
		chromium.err = err
		return
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.UserDataDir(dir), chromedp.NoSandbox,
		chromedp.IgnoreCertErrors, chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("hide-scrollbars", true),
		chromedp.WSURLReadTimeout(time.Minute))
	allocator, stopAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, stop := chromedp.NewContext(allocator)
	chromium.ctx, chromium.err = ctx, chromedp.Do(ctx)
	chromium.stop = func() {
		chromedp.Cancel(ctx) // waits for its end
		stop()
		stopAllocator()
		os.RemoveAll(dir)
	}
}

// tab is somebody's window of the browser, with cookies of its own.
type tab struct {
	t    *testing.T
	ctx  context.Context
	site string // URL of the server, without a path

	mu       sync.Mutex
	problems []string // what the console said is wrong; guarded by mu
}

// newTab opens a window that asks for pages in a language.
func newTab(t *testing.T, site, language string) *tab {
	t.Helper()
	path := peer.Need(t, "chromium")
	chromium.once.Do(func() { startChromium(path) })
	if chromium.err != nil {
		t.Fatal(chromium.err)
	}
	ctx, stop := chromedp.NewContext(chromium.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(stop)
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx, site: site}
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatal(err)
	}
	call(b, log.Enable, cdp.Empty{})
	call(b, network.Enable, network.EnableParams{})
	call(b, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{"Accept-Language": language}})
	b.run(chromedp.EmulateViewport(1200, 900))
	return b
}

// hear notes what is wrong with a page as the browser sees it: script that fails, what
// the content security policy forbids.
func (b *tab) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError && !strings.Contains(e.Entry.Text, "the server responded with a status of") {
			b.problems = append(b.problems, e.Entry.Text+" "+e.Entry.URL)
		}
	case *runtime.EventExceptionThrown:
		b.problems = append(b.problems, e.ExceptionDetails.Text)
	}
}

// fine fails the test for what the browser found wrong since the last time.
func (b *tab) fine(where string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.problems {
		b.t.Errorf("%s: the browser says: %s", where, p)
	}
	b.problems = nil
}

// call sends the browser a command of its protocol.
func call[P, R any](b *tab, command cdp.Command[P, R], params P) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, command, params); err != nil {
		b.t.Fatal(err)
	}
}

// run does steps, each within a minute.
func (b *tab) run(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	for _, step := range steps {
		ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
		err := chromedp.Do(ctx, step)
		cancel()
		if err != nil {
			b.stuck(err)
		}
	}
}

// stuck fails the test, and tells what the page is then.
func (b *tab) stuck(err error) {
	b.t.Helper()
	text, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string](`location.pathname + "\n" + document.body.innerText.slice(0, 2000)`))
	b.t.Fatalf("%v, at %s", err, text)
}

// eval is the value of an expression in the page.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.stuck(err)
	}
	return v
}

// visit opens a page of the portal, which must be there.
func (b *tab) visit(path string) {
	b.t.Helper()
	resp, err := chromedp.RunResponse(b.ctx, chromedp.Navigate(b.site+path))
	if err != nil {
		b.t.Fatalf("%s: %v", path, err)
	}
	if resp.Status != 200 {
		b.t.Errorf("%s: status %d", path, resp.Status)
	}
}

// press clicks what leads to another page, and waits for that.
func (b *tab) press(selector string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	if _, err := chromedp.RunResponse(ctx, chromedp.Click(selector, chromedp.NodeVisible)); err != nil {
		b.stuck(err)
	}
}

// text reads what a person sees in the page.
func (b *tab) text() string {
	b.t.Helper()
	return eval[string](b, `document.body.innerText`)
}

// logIn logs somebody in by their password.
func (b *tab) logIn(login, password string) {
	b.t.Helper()
	b.visit("/portal/login")
	b.run(chromedp.SendKeys("#login", login), chromedp.SendKeys("#password", password))
	b.press("main form button")
	if path := b.path(); path != "/portal/hosts" {
		b.t.Fatalf("after the log-in %s is at %s: %s", login, path, b.text())
	}
}

// theme has pages in light or dark.
func (b *tab) theme(name string) {
	b.t.Helper()
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: name}, {Name: "prefers-reduced-motion", Value: "reduce"}}})
}

// screenshot keeps what the whole page looks like.
func (b *tab) screenshot(name string) {
	b.t.Helper()
	picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.stuck(err)
	}
	dir := filepath.Join(peer.Root(b.t), "integration/portal/screenshots")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// axe is axe-core, which looks for what keeps people with disabilities out.
//
//go:embed testdata/axe.min.js
var axe string

// accessible fails the test for each rule of axe-core that the page breaks.
func (b *tab) accessible(where string) {
	b.t.Helper()
	eval[bool](b, axe+"; true")
	violations := eval[string](b, `axe.run(document, {resultTypes: ["violations"]}).then(r => JSON.stringify(
		r.violations.map(v => ({id: v.id, help: v.help, nodes: v.nodes.map(n => n.html.slice(0, 200) + " " + n.failureSummary)}))))`)
	var all []struct {
		ID, Help string
		Nodes    []string
	}
	if err := json.Unmarshal([]byte(violations), &all); err != nil {
		b.t.Fatal(err)
	}
	for _, v := range all {
		b.t.Errorf("%s: %s: %s\n%s", where, v.ID, v.Help, strings.Join(v.Nodes, "\n"))
	}
}

// path tells where the page is.
func (b *tab) path() string {
	b.t.Helper()
	return eval[string](b, `location.pathname + location.search`)
}
