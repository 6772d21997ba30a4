package peer

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"vidimus/internal/store/postgrestest"
)

// Vidimusd is a "vidimusd dev" that runs.
type Vidimusd struct {
	Directory     string `json:"directory"`
	DirectoryOpen string `json:"directory_open"`
	CABundle      string `json:"ca_bundle"`
	Config        string `json:"config"`
	CRL           string `json:"crl"`
	EAB           []struct {
		KID     string   `json:"kid"`
		HMACKey string   `json:"hmac_key"`
		Names   []string `json:"names"`
	} `json:"eab"`

	HTTPPort, TLSPort int // where http-01 and tls-alpn-01 are validated
	Dir               string
	Log               *Output
	Cmd               *exec.Cmd

	bin  string
	args []string
}

// OnPostgres tells whether the servers of this run keep their records in PostgreSQL: the
// environment has VIDIMUS_TEST_DATABASE=postgres.
func OnPostgres() bool { return os.Getenv("VIDIMUS_TEST_DATABASE") == "postgres" }

// StartVidimusd starts a server in an empty folder with further arguments, and waits
// until it is ready.
func StartVidimusd(t testing.TB, args ...string) *Vidimusd {
	t.Helper()
	return StartVidimusdIn(t, t.TempDir(), args...)
}

// StartVidimusdIn is StartVidimusd with a folder of the caller's.
func StartVidimusdIn(t testing.TB, dir string, args ...string) *Vidimusd {
	t.Helper()
	return startVidimusd(t, Build(t, "vidimusd"), dir, args...)
}

func startVidimusd(t testing.TB, bin, dir string, args ...string) *Vidimusd {
	t.Helper()
	v := &Vidimusd{Dir: dir, HTTPPort: FreePort(t), TLSPort: FreePort(t), bin: bin}
	if OnPostgres() && !slices.Contains(args, "--database") {
		args = append(args, "--database", postgrestest.URL(t))
	}
	v.args = append([]string{"dev", "--dir", v.Dir, "--listen", fmt.Sprintf("127.0.0.1:%d", FreePort(t)), "--log-level", "info",
		"--http-01-port", fmt.Sprint(v.HTTPPort), "--tls-alpn-01-port", fmt.Sprint(v.TLSPort)}, args...)
	v.Start(t)
	return v
}

// Start starts the server again, after Kill, in the same folder at the same address.
func (v *Vidimusd) Start(t testing.TB) {
	t.Helper()
	v.Launch(t)
	info := filepath.Join(v.Dir, "dev.json")
	Eventually(t, "vidimusd is ready", func() bool { return exists(info) })
	data, err := os.ReadFile(info)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatal(err)
	}
}

// Launch is Start that waits for nothing.
func (v *Vidimusd) Launch(t testing.TB) {
	t.Helper()
	os.Remove(filepath.Join(v.Dir, "dev.json"))
	v.Cmd = exec.Command(v.bin, v.args...)
	v.Log = Start(t, v.Cmd)
}

// Kill kills the server with SIGKILL and waits for its end.
func (v *Vidimusd) Kill() {
	v.Cmd.Process.Kill()
	v.Cmd.Wait()
}

// Admin runs "vidimusd admin", which must succeed, and decodes its JSON into out
// unless that is nil.
func (v *Vidimusd) Admin(t testing.TB, out any, args ...string) {
	t.Helper()
	text := Must(t, exec.Command(v.bin, append([]string{"admin", "--json", "--config", v.Config}, args...)...))
	if out == nil {
		return
	}
	if err := json.Unmarshal([]byte(text), out); err != nil {
		t.Fatalf("vidimusd admin %v: %v\n%s", args, err, text)
	}
}

// Credentials are the EAB credentials of an ACME-ID.
type Credentials struct {
	KID       string   `json:"kid"`
	HMACKey   string   `json:"hmac_key"`
	Directory string   `json:"directory"`
	Names     []string `json:"names"`
}

// NewACMEID enters the names as hosts and makes an ACME-ID, borne by the first, that
// may manage them all.
func (v *Vidimusd) NewACMEID(t testing.TB, names ...string) (c Credentials) {
	t.Helper()
	args := []string{"acme-id", "add", names[0]}
	for _, n := range names {
		v.Admin(t, nil, "host", "add", n)
		args = append(args, "--name", n)
	}
	v.Admin(t, &c, args...)
	return c
}

// Certificate is a certificate on the server's record.
type Certificate struct {
	Serial     string   `json:"serial"`
	State      string   `json:"state"`
	Account    int64    `json:"account"`
	ReplacedBy int64    `json:"replaced_by"` // order; 0 for none
	Names      []string `json:"names"`
	PEM        string   `json:"pem"`
}

// Certificates lists what is on record for a name.
func (v *Vidimusd) Certificates(t testing.TB, name string) (all []Certificate) {
	t.Helper()
	v.Admin(t, &all, "certificate", "list", "--name", name)
	return all
}
