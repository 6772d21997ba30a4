// Command demo shows the main job of Vidimus on real processes, from nothing, on
// loopback: a certificate is issued, served, renewed and revoked. It prints each
// command as it runs it, and cleans up after itself.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) == 5 && os.Args[1] == "https-server" {
		fail(serveHTTPS(os.Args[2], os.Args[3], os.Args[4]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	fail(run(ctx))
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// demo is where everything lives, and what has been started.
type demo struct {
	ctx      context.Context
	dir, bin string
	env      []string
	started  []*exec.Cmd
}

func run(ctx context.Context) (err error) {
	bin, err := filepath.Abs("bin")
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "vidimus-demo-")
	if err != nil {
		return err
	}
	d := &demo{ctx: ctx, dir: dir, bin: bin, env: append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH")+":/usr/sbin")}
	defer func() {
		d.stop()
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	begin := time.Now()
	fmt.Printf("Everything happens in %s and on 127.0.0.1, and is gone at the end.\n", dir)
	if err := d.job(); err != nil {
		return err
	}
	fmt.Printf(`
Done in %.1f s. What to try next:
  bin/vidimusd dev              a server with demo data to play with; it prints the commands to use
  bin/vidimus --help            the client; it takes Certbot's command line and directory
  bin/vidimusd init --help      to set up a server that stays
`, time.Since(begin).Seconds())
	return nil
}

// The names that the demo gets a certificate for.
const names = "www.example.test,mail.example.test"

func (d *demo) job() error {
	say("1. The CA team sets up a server with a CA of its own, and starts it.")
	acme, plain, https := port(), port(), port()
	url := fmt.Sprintf("https://127.0.0.1:%d", acme)
	conf := filepath.Join(d.dir, "server/vidimusd.yaml")
	if _, err := d.command("vidimusd", "init", "--dir", filepath.Join(d.dir, "server"), "--url", url, "--organisation", "Example",
		"--listen", fmt.Sprintf("127.0.0.1:%d", acme), "--listen-http", fmt.Sprintf("127.0.0.1:%d", plain)); err != nil {
		return err
	}
	if err := d.start(url, "vidimusd", "serve", "--config", conf, "--log-level", "error"); err != nil {
		return err
	}

	say("2. It enters a person and two hosts, and makes an ACME-ID: who holds its credentials may have certificates for both.")
	cred, err := d.acmeID(conf)
	if err != nil {
		return err
	}

	say("3. On the host, the admin registers with the credentials, once, and gets a certificate. No challenge: the host database grants the names.")
	root := filepath.Join(d.dir, "server/ca/root.pem")
	d.env = append(d.env, "REQUESTS_CA_BUNDLE="+root)
	fmt.Printf("   $ export REQUESTS_CA_BUNDLE=%s\n", root)
	key := filepath.Join(d.dir, "hmac-key")
	if err := os.WriteFile(key, []byte(cred.HMACKey), 0o600); err != nil {
		return err
	}
	if err := d.vidimus("register", "--server", cred.Directory, "--agree-tos", "-m", "admin@example.test", "--no-eff-email",
		"--eab-kid", cred.KID, "--eab-hmac-key-file", key); err != nil {
		return err
	}
	if err := d.vidimus("certonly", "--server", cred.Directory, "--standalone", "-d", names); err != nil {
		return err
	}

	say("4. A web server serves it, and is verified against the CA.")
	live := filepath.Join(d.dir, "client/live/www.example.test")
	reload, err := d.webServer(https, live)
	if err != nil {
		return err
	}
	w, err := newWatcher(fmt.Sprintf("127.0.0.1:%d", https), root)
	if err != nil {
		return err
	}
	first, err := w.wait(d.ctx, "")
	if err != nil {
		return err
	}
	fmt.Printf("   %s: TLS is good for %s; serial %s\n", w.address, names, first)

	say("5. A forced renewal runs its deploy hook, while a client connects again and again.")
	w.begin()
	if err := d.vidimus("renew", "--force-renewal", "--no-random-sleep-on-renew", "--deploy-hook", reload); err != nil {
		return err
	}
	second, err := w.wait(d.ctx, first)
	if err != nil {
		return err
	}
	good, bad := w.end()
	fmt.Printf("   now served: serial %s; %d connections meanwhile, %d failed\n", second, good, bad)
	if bad > 0 {
		return fmt.Errorf("%d connections failed during the renewal", bad)
	}

	say("6. The certificate is revoked, and the revocation list names it.")
	if err := d.vidimus("revoke", "--server", cred.Directory, "--cert-name", "www.example.test", "--reason", "superseded", "--no-delete-after-revoke"); err != nil {
		return err
	}
	crl := fmt.Sprintf("http://127.0.0.1:%d/crl/main.crl", plain)
	if err := listed(crl, second); err != nil {
		return err
	}
	fmt.Printf("   %s names serial %s\n", crl, second)
	return nil
}

type credentials struct {
	KID       string `json:"kid"`
	HMACKey   string `json:"hmac_key"`
	Directory string `json:"directory"`
}

func (d *demo) acmeID(conf string) (c credentials, err error) {
	for _, args := range [][]string{
		{"person", "add", "ada", "--name", "Ada Archer"},
		{"host", "add", "www.example.test", "--person", "ada"},
		{"host", "add", "mail.example.test", "--person", "ada"},
	} {
		if _, err := d.command("vidimusd", append([]string{"admin", "--config", conf}, args...)...); err != nil {
			return c, err
		}
	}
	out, err := d.command("vidimusd", "admin", "--config", conf, "--json", "acme-id", "add", "www.example.test", "--name", names)
	if err != nil {
		return c, err
	}
	return c, json.Unmarshal(out, &c)
}

// vidimus runs the client on a directory of the demo's, and shows what it says.
func (d *demo) vidimus(verb string, args ...string) error {
	args = append([]string{verb, "-n"}, args...)
	for _, f := range []string{"config", "work", "logs"} {
		folder := map[string]string{"config": "client", "work": "client-work", "logs": "client-logs"}[f]
		args = append(args, "--"+f+"-dir", filepath.Join(d.dir, folder))
	}
	out, err := d.command("vidimus", args...)
	for line := range strings.Lines(string(out)) {
		if line = strings.TrimSpace(line); line != "" && strings.Trim(line, "- ") != "" {
			fmt.Println("   |", line)
		}
	}
	return err
}

// command runs a program to its end, after showing the command.
func (d *demo) command(program string, args ...string) (stdout []byte, err error) {
	d.show(program, args)
	cmd := exec.CommandContext(d.ctx, filepath.Join(d.bin, program), args...)
	cmd.Env = d.env
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, err = cmd.Output()
	if err != nil {
		return stdout, fmt.Errorf("%s %s: %w\n%s", program, args[0], err, stderr.String())
	}
	return stdout, nil
}

func (d *demo) show(program string, args []string) {
	quoted := make([]string, len(args))
	for i, a := range args {
		quoted[i] = a
		if a == "" || strings.ContainsAny(a, " '\"$&|;()<>*?\\") {
			quoted[i] = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
	}
	fmt.Printf("   $ %s %s\n", program, strings.Join(quoted, " "))
}

// start starts a program that runs until the end, and waits until it answers at url.
func (d *demo) start(url, program string, args ...string) error {
	d.show(program, args)
	if !filepath.IsAbs(program) {
		program = filepath.Join(d.bin, program)
	}
	cmd := exec.Command(program, args...)
	cmd.Env = d.env
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	d.started = append(d.started, cmd)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	address := url[strings.LastIndex(url, "/")+1:]
	for {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			return conn.Close()
		}
		select {
		case err := <-ended:
			return fmt.Errorf("%s ended before it was ready (%v)\n%s", filepath.Base(program), err, stderr.String())
		case <-d.ctx.Done():
			return d.ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// stop ends what was started, the last first.
func (d *demo) stop() {
	for i := len(d.started) - 1; i >= 0; i-- {
		p := d.started[i].Process
		p.Signal(syscall.SIGTERM)
		for range 500 {
			if p.Signal(syscall.Signal(0)) != nil {
				break
			}
			time.Sleep(10 * time.Millisecond) // between two looks whether it has ended
		}
		p.Kill()
	}
}

func say(text string) { fmt.Println("\n" + text) }

// port finds a port that nobody uses.
func port() int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fail(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
