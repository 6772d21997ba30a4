package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// compareRenewals prints what vidimus and, where it is installed, certbot take at the
// same Pebble: for one certificate, for renewals of many lineages that are due, and
// for runs in which nothing is due.
func compareRenewals(ctx context.Context, o *options, dir string) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	s, err := startPebble(ctx, filepath.Join(dir, "pebble"), port)
	if err != nil {
		return err
	}
	defer s.stop()
	certbot, err := exec.LookPath("certbot")
	hasCertbot := err == nil
	both := func(what string) []*program {
		all := []*program{{"vidimus", o.vidimus, filepath.Join(dir, what, "vidimus"), s}}
		if hasCertbot {
			all = append(all, &program{"certbot", certbot, filepath.Join(dir, what, "certbot"), s})
		}
		return all
	}
	fmt.Println("\nrenewals: each program alone at an idle Pebble without its random waits, one run each")
	fmt.Println("\n  run                                       program         wall        CPU   peak memory")
	one := both("one")
	for _, p := range one {
		if err := p.registerAt(ctx, s.Directory); err != nil {
			return err
		}
	}
	if err := compare(ctx, one, o.runs, "one certificate, http-01", func(p *program, i int) []string {
		return p.certonly(s.Directory, fmt.Sprintf("one%d.%s.test", i, p.name))
	}); err != nil {
		return err
	}
	for i, p := range both("due") {
		runs := 2 - i // certbot takes minutes for one
		if err := p.renewFleet(ctx, o.due, fmt.Sprintf("renew --force-renewal, %d due", o.due), runs, "--force-renewal"); err != nil {
			return err
		}
	}
	for _, n := range []int{1000, 10_000, 100_000} {
		programs := both(fmt.Sprint(n))
		if n > o.idle {
			break
		}
		if n > 5000 {
			programs = programs[:1] // certbot takes some 3.5 ms of CPU for each lineage
		}
		for _, p := range programs {
			if err := p.renewFleet(ctx, n, fmt.Sprintf("renew, nothing due, %d", n), 2); err != nil {
				return err
			}
			if err := os.RemoveAll(p.dir); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *program) registerAt(ctx context.Context, directory string) error {
	_, err := p.run(ctx, []string{"register", "--agree-tos", "-m", "bench@example.org", "--no-eff-email", "--server", directory})
	return err
}

// renewFleet makes n lineages and runs renew some times. The first run is shown apart:
// in it vidimus asks the CA about each lineage, and orders in place of certificates that
// the CA doesn't know.
func (p *program) renewFleet(ctx context.Context, n int, what string, runs int, args ...string) error {
	if err := p.registerAt(ctx, p.server.Directory); err != nil {
		return err
	}
	config := filepath.Join(p.dir, "config")
	accounts, err := filepath.Glob(filepath.Join(config, "accounts", "*", "dir", "*"))
	if err != nil || len(accounts) != 1 {
		return fmt.Errorf("no account in %s (%v)", config, err)
	}
	f := &fleet{config: config, server: p.server.Directory, account: filepath.Base(accounts[0]), port: p.server.httpPort,
		life: 90 * 24 * time.Hour, begun: 24 * time.Hour, domain: p.name + ".test"}
	if err := f.write(n); err != nil {
		return err
	}
	args = append([]string{"renew", "--no-random-sleep-on-renew"}, args...)
	for i := range runs {
		u, err := p.run(ctx, args)
		if err != nil {
			return err
		}
		when := []string{"", ", again"}[i]
		fmt.Printf("  %-41s %-9s %10s %10s %13s\n", what+when, p.name, ms(u.wall), ms(u.cpu), mib(u.memory))
	}
	return nil
}

// quiet keeps what a run prints about each lineage out of an error.
func quiet(out string) string {
	const most = 4000
	if len(out) > most {
		out = "…" + out[len(out)-most:]
	}
	return strings.TrimSpace(out)
}
