package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// program is a client that is measured, with folders and an account of its own.
type program struct {
	name, bin, dir string
	server         *server
}

// compareClients prints what one run costs of vidimus and, where it is installed, of
// certbot. The runs alternate, so that whatever else the machine does meets both.
func compareClients(ctx context.Context, o *options, dir string) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	s, err := startServer(ctx, o.vidimusd, filepath.Join(dir, "vidimusd"), port, nil)
	if err != nil {
		return err
	}
	defer s.stop()
	programs := []*program{{"vidimus", o.vidimus, filepath.Join(dir, "vidimus"), s}}
	certbot, err := exec.LookPath("certbot")
	if err == nil {
		programs = append(programs, &program{"certbot", certbot, filepath.Join(dir, "certbot"), s})
	}
	fmt.Printf("\nclients: each program alone at an idle vidimusd, medians of %d runs, alternating, after one to warm up\n", o.runs)
	if err != nil {
		fmt.Println("certbot is not installed (apt-get install certbot), so vidimus stands alone")
	}
	fmt.Println("\n  run                                       program         wall        CPU   peak memory")
	if err := compare(ctx, programs, o.runs, "--version", func(*program, int) []string { return []string{"--version"} }); err != nil {
		return err
	}
	for _, p := range programs {
		if err := p.register(ctx, o.runs); err != nil {
			return err
		}
	}
	if err := compare(ctx, programs, o.runs, "certonly, pre-authorised", func(p *program, i int) []string {
		return p.certonly(s.Directory, p.granted(i))
	}); err != nil {
		return err
	}
	if err := compare(ctx, programs, o.runs, "certonly, http-01", func(p *program, i int) []string {
		return p.certonly(s.DirectoryOpen, fmt.Sprintf("open%d.%s.test", i, p.name))
	}); err != nil {
		return err
	}
	if len(programs) > 1 {
		fmt.Println("\n  Most of certbot's wall time is sleep: a second before it first looks for the result of a\n" +
			"  validation, and one before that of finalize. CPU time is the fairer comparison.")
	}
	return nil
}

// granted is the i-th name of the ACME-ID that the program has.
func (p *program) granted(i int) string { return fmt.Sprintf("host%d.%s.test", i, p.name) }

// register makes the program an account at both directories.
func (p *program) register(ctx context.Context, runs int) error {
	names := make([]string, runs+1)
	for i := range names {
		names[i] = p.granted(i)
	}
	eab, err := p.server.acmeID(ctx, names...)
	if err != nil {
		return err
	}
	args := []string{"register", "--agree-tos", "-m", "bench@example.org", "--no-eff-email"}
	if _, err := p.run(ctx, append(args, "--server", p.server.DirectoryOpen)); err != nil {
		return err
	}
	_, err = p.run(ctx, append(args, "--server", p.server.Directory, "--eab-kid", eab.KID, "--eab-hmac-key", eab.HMACKey))
	return err
}

func (p *program) certonly(directory, name string) []string {
	return []string{"certonly", "--standalone", "--http-01-address", "127.0.0.1", "--http-01-port", strconv.Itoa(p.server.httpPort),
		"--server", directory, "-d", name}
}

// usage is what one run took.
type usage struct {
	wall, cpu time.Duration
	memory    int64 // bytes
}

// compare runs the programs in turn and prints the medians of each.
func compare(ctx context.Context, programs []*program, runs int, what string, args func(p *program, i int) []string) error {
	measured := make([][]usage, len(programs))
	for i := range runs + 1 {
		for j, p := range programs {
			u, err := p.run(ctx, args(p, i))
			if err != nil {
				return err
			}
			if i > 0 { // the first run warms up caches
				measured[j] = append(measured[j], u)
			}
		}
	}
	for j, p := range programs {
		var wall, cpu []time.Duration
		var memory []int64
		for _, u := range measured[j] {
			wall, cpu, memory = append(wall, u.wall), append(cpu, u.cpu), append(memory, u.memory)
		}
		peak := mib(quantile(memory, 0.5))
		// Linux counts what the parent had when it forked as the child's (getrusage(2),
		// where ru_maxrss outlives execve).
		if quantile(memory, 0.5) <= peakMemory(os.Getpid()) {
			peak = "≤ " + peak
		}
		fmt.Printf("  %-41s %-9s %10s %10s %13s\n", what, p.name, ms(quantile(wall, 0.5)), ms(quantile(cpu, 0.5)), peak)
	}
	return nil
}

// run runs the program to its end, with folders of its own.
func (p *program) run(ctx context.Context, args []string) (usage, error) {
	if args[0] != "--version" {
		args = append(args, "-n", "--config-dir", filepath.Join(p.dir, "config"), "--work-dir", filepath.Join(p.dir, "work"),
			"--logs-dir", filepath.Join(p.dir, "logs"))
	}
	cmd := exec.CommandContext(ctx, p.bin, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	cmd.Env = append(os.Environ(), "REQUESTS_CA_BUNDLE="+p.server.CABundle, "HOME="+p.dir, "XDG_CONFIG_HOME="+p.dir)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	start := time.Now()
	err := cmd.Run()
	u := usage{wall: time.Since(start)}
	if err != nil {
		return u, fmt.Errorf("%s %s: %w\n%s", p.name, args[0], err, quiet(out.String()))
	}
	r, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return u, errors.New("this system doesn't tell what a process used")
	}
	u.cpu, u.memory = time.Duration(r.Utime.Nano()+r.Stime.Nano()), int64(r.Maxrss)<<10 // KiB on Linux
	return u, nil
}
