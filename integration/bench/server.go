package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// server is an ACME server that runs: a "vidimusd dev", or a peer.
type server struct {
	Directory     string `json:"directory"`
	DirectoryOpen string `json:"directory_open"`
	CABundle      string `json:"ca_bundle"`
	Config        string `json:"config"`

	bin      string
	httpPort int       // where it validates http-01
	database *postgres // nil when it keeps its data itself
	process
}

// freePort finds a port below those that the system gives out by itself, so that it
// stays free while one program after another listens there.
func freePort() (int, error) {
	for range 1000 {
		port := 20000 + rand.IntN(12000)
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			l.Close()
			return port, nil
		}
	}
	return 0, errors.New("no free port on 127.0.0.1")
}

// startServer starts vidimusd in a new folder and waits until it is ready. db is nil
// for SQLite.
func startServer(ctx context.Context, bin, dir string, httpPort int, db *postgres) (*server, error) {
	s := &server{bin: bin, httpPort: httpPort, database: db}
	args := []string{"dev", "--dir", dir, "--listen", "127.0.0.1:0", "--http-01-port", strconv.Itoa(httpPort), "--log-level", "error"}
	if db != nil {
		args = append(args, "--database", db.url+"bench?sslmode=disable")
	}
	s.cmd = exec.CommandContext(ctx, bin, args...)
	if err := s.start(); err != nil {
		return nil, err
	}
	return s, s.ready(func() bool {
		data, err := os.ReadFile(filepath.Join(dir, "dev.json"))
		return err == nil && json.Unmarshal(data, s) == nil
	})
}

// startAndAsk starts a peer by cmd and waits until its directory answers.
func (s *server) startAndAsk(cmd *exec.Cmd) error {
	s.cmd = cmd
	if err := s.start(); err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	return s.ready(func() bool {
		resp, err := client.Get(s.DirectoryOpen)
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// cpu is the time that the server has computed so far, with its database's.
func (s *server) cpu() (time.Duration, error) {
	sum, err := s.process.cpu()
	if err != nil || s.database == nil {
		return sum, err
	}
	more, err := s.database.cpu()
	return sum + more, err
}

// credentials are the EAB credentials of an ACME-ID.
type credentials struct {
	KID     string `json:"kid"`
	HMACKey string `json:"hmac_key"`
}

// acmeID enters the names as hosts and makes an ACME-ID that may manage them all.
func (s *server) acmeID(ctx context.Context, names ...string) (c credentials, err error) {
	add := []string{"acme-id", "add", names[0]}
	for _, name := range names {
		if _, err := s.admin(ctx, "host", "add", name); err != nil {
			return c, err
		}
		add = append(add, "--name", name)
	}
	out, err := s.admin(ctx, add...)
	if err != nil {
		return c, err
	}
	return c, json.Unmarshal(out, &c)
}

func (s *server) admin(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, s.bin, append([]string{"admin", "--json", "--config", s.Config}, args...)...)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("vidimusd admin %s: %w\n%s", strings.Join(args, " "), err, complaint.String())
	}
	return out, nil
}
