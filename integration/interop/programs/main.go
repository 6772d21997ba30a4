// Programs gets certificates as programs do that use the ACME libraries of Go:
//
//	programs autocert|certmagic|acmez VERB TASK.json
//
// VERB is obtain, renew, revoke or key-change, where the library has it. It is a module
// of its own, since Vidimus itself needs neither certmagic nor what that brings along.
package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"strconv"
)

// task is what a program is told to do.
type task struct {
	Directory string   `json:"directory"` // URL
	Root      string   `json:"root"`      // PEM file: who signs the CA's own certificate
	Dir       string   `json:"dir"`       // for what is to be kept
	Names     []string `json:"names"`
	Method    string   `json:"method"` // http-01, dns-01 or tls-alpn-01
	HTTPPort  int      `json:"http_port"`
	TLSPort   int      `json:"tls_port"`
	KID       string   `json:"kid"` // of the EAB credentials; "" for none
	HMACKey   string   `json:"hmac_key"`
	DNS       updates  `json:"dns"`

	roots *x509.CertPool
}

func main() {
	log.SetFlags(log.Ltime | log.Lmicroseconds)
	if err := run(context.Background(), os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 3 {
		return errors.New("usage: programs autocert|certmagic|acmez VERB TASK.json")
	}
	data, err := os.ReadFile(args[2])
	if err != nil {
		return err
	}
	var t task
	if err := json.Unmarshal(data, &t); err != nil {
		return err
	}
	root, err := os.ReadFile(t.Root)
	if err != nil {
		return err
	}
	t.roots = x509.NewCertPool()
	t.roots.AppendCertsFromPEM(root)
	libraries := map[string]func(context.Context, *task, string) error{
		"autocert": withAutocert, "certmagic": withCertmagic, "acmez": withACMEz,
	}
	f, ok := libraries[args[0]]
	if !ok {
		return fmt.Errorf("no library %q", args[0])
	}
	return f(ctx, &t, args[1])
}

// listen listens on a port of this machine only.
func listen(port int) (net.Listener, error) {
	return net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
}
