// Vidimus gets, renews and revokes TLS certificates from any ACME CA. It takes
// Certbot's command line and works on Certbot's directory.
package main

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"vidimus/internal/cli"
)

func main() { os.Exit(run()) }

func run() int {
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as by nohup
		ends = append(ends, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), ends...)
	defer stop()
	// A reader that goes away, as in "renew | head", must not end it between two hooks.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	app := &cli.App{
		Name:        filepath.Base(os.Args[0]),
		Stdin:       os.Stdin,
		Stdout:      os.Stdout,
		Stderr:      os.Stderr,
		Getenv:      os.Getenv,
		Environ:     os.Environ(),
		Now:         time.Now,
		Terminal:    terminal(os.Stdin),
		Interactive: terminal(os.Stdin) && terminal(os.Stdout),
		Watched:     terminal(os.Stderr),
	}
	return app.Run(ctx, os.Args[1:])
}

func terminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
