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
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	_, noTerminal := unix.IoctlGetTermios(int(os.Stdin.Fd()), unix.TCGETS)
	app := &cli.App{
		Name:     filepath.Base(os.Args[0]),
		Stdin:    os.Stdin,
		Stdout:   os.Stdout,
		Stderr:   os.Stderr,
		Getenv:   os.Getenv,
		Now:      time.Now,
		Terminal: noTerminal == nil,
	}
	return app.Run(ctx, os.Args[1:])
}
