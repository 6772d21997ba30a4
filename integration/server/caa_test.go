package server

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"vidimus/integration/peer"
)

// legoAt runs lego on the open directory for one name, with http-01 or, for a
// wildcard, dns-01.
func legoAt(t *testing.T, v *peer.Vidimusd, named *peer.Named, dir, name string) (out string, status int) {
	t.Helper()
	args := []string{"--server", v.DirectoryOpen, "--path", dir, "--email", "a@uni.test", "--accept-tos", "--domains", name}
	if strings.HasPrefix(name, "*.") {
		args = append(args, "--dns", "rfc2136", "--dns.disable-cp", "--dns.resolvers", named.Address)
	} else {
		args = append(args, "--http", "--http.port", fmt.Sprintf("127.0.0.1:%d", v.HTTPPort))
	}
	cmd := exec.Command(peer.Need(t, "lego"), append(args, "run")...)
	cmd.Env = append(os.Environ(), "LEGO_CA_CERTIFICATES="+v.CABundle, "RFC2136_NAMESERVER="+named.Address,
		"RFC2136_TSIG_KEY="+named.KeyName, "RFC2136_TSIG_ALGORITHM=hmac-sha256.", "RFC2136_TSIG_SECRET="+named.KeyValue)
	return peer.Run(t, cmd)
}

// identity is the name that CAA records call the server by, as its directory tells.
func identity(t *testing.T, v *peer.Vidimusd) string {
	t.Helper()
	root, err := os.ReadFile(v.CABundle)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root)
	resp, err := (&http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}).Get(v.DirectoryOpen)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var d struct {
		Meta struct{ CAAIdentities []string }
	}
	if err := json.NewDecoder(resp.Body).Decode(&d); err != nil || len(d.Meta.CAAIdentities) != 1 {
		t.Fatalf("the directory names the identities %q, %v; want one", d.Meta.CAAIdentities, err)
	}
	return d.Meta.CAAIdentities[0]
}

func TestCAARecordsInBINDAreObeyed(t *testing.T) {
	named := peer.StartNamed(t, zone)
	v := peer.StartVidimusd(t, "--resolver", named.Address)
	ours := identity(t, v)
	dir := t.TempDir()
	if out, status := legoAt(t, v, named, dir, "first.uni.test"); status != 0 {
		t.Fatalf("without CAA records: %s", out)
	}
	account := strings.TrimSuffix(v.DirectoryOpen, "directory") + "acct/1"

	for _, tt := range []struct {
		name  string
		owner string
		caa   []string
		says  string // "" means that it is issued
	}{
		{"ours.uni.test", "ours.uni.test", []string{`0 issue "` + ours + `"`}, ""},
		{"other.uni.test", "other.uni.test", []string{`0 issue "ca.other.net"`}, "names another CA"},
		{"nobody.uni.test", "nobody.uni.test", []string{`0 issue ";"`}, "allows no CA"},
		{"a.b.above.uni.test", "above.uni.test", []string{`0 issue "ca.other.net"`}, "the CAA records of above.uni.test forbid"},
		{"critical.uni.test", "critical.uni.test", []string{`0 issue "` + ours + `"`, `128 tbs "x"`}, "critical"},
		{"account.uni.test", "account.uni.test", []string{`0 issue "` + ours + `; accounturi=` + account + `"`}, ""},
		{"account2.uni.test", "account2.uni.test", []string{`0 issue "` + ours + `; accounturi=` + account + `2"`}, "another account than " + account},
		{"method.uni.test", "method.uni.test", []string{`0 issue "` + ours + `; validationmethods=http-01"`}, ""},
		{"method2.uni.test", "method2.uni.test", []string{`0 issue "` + ours + `; validationmethods=dns-01"`}, "validation method http-01"},
		{"*.wild.uni.test", "wild.uni.test", []string{`0 issue ";"`, `0 issuewild "` + ours + `"`}, ""},
		{"*.wild2.uni.test", "wild2.uni.test", []string{`0 issue "` + ours + `"`, `0 issuewild ";"`}, "issuewild"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if !strings.HasPrefix(tt.name, "*.") {
				named.Add(t, tt.name+". 1 IN A 127.0.0.1")
			}
			for _, c := range tt.caa {
				named.Add(t, tt.owner+". 1 IN CAA "+c)
			}
			out, status := legoAt(t, v, named, dir, tt.name)
			if tt.says == "" {
				if status != 0 {
					t.Fatal(out)
				}
				verify(t, v, filepath.Join(dir, "certificates", strings.Replace(tt.name, "*", "_", 1)+".crt"), tt.name)
				return
			}
			if status == 0 || !strings.Contains(out, "urn:ietf:params:acme:error:caa") || !strings.Contains(out, tt.says) {
				t.Errorf("exit status %d; want a problem of type caa that says %q:\n%s", status, tt.says, out)
			}
		})
	}

	// An alias has the records of its target.
	named.Add(t, "target.uni.test. 1 IN A 127.0.0.1", `target.uni.test. 1 IN CAA 0 issue ";"`, "alias.uni.test. 1 IN CNAME target.uni.test.")
	if out, status := legoAt(t, v, named, dir, "alias.uni.test"); status == 0 || !strings.Contains(out, "target.uni.test, of which alias.uni.test is an alias, forbid") {
		t.Errorf("an alias of a name that may have no certificate: exit status %d\n%s", status, out)
	}
}

func TestGrantedNamesAndCAA(t *testing.T) {
	named := peer.StartNamed(t, zone)
	named.Add(t, "k.uni.test. 1 IN A 127.0.0.1", `k.uni.test. 1 IN CAA 0 issue "ca.other.net"`)
	v := peer.StartVidimusd(t, "--resolver", named.Address)
	c := v.NewACMEID(t, "k.uni.test")
	dir := t.TempDir()
	run := func(verb ...string) (string, int) {
		args := []string{"--server", c.Directory, "--path", dir, "--email", "a@uni.test", "--accept-tos", "--eab", "--kid", c.KID, "--hmac", c.HMACKey,
			"--http", "--http.port", fmt.Sprintf("127.0.0.1:%d", v.HTTPPort), "--domains", "k.uni.test"}
		cmd := exec.Command(peer.Need(t, "lego"), append(args, verb...)...)
		cmd.Env = append(os.Environ(), "LEGO_CA_CERTIFICATES="+v.CABundle)
		return peer.Run(t, cmd)
	}
	if out, status := run("run"); status != 0 {
		t.Fatalf("the host database grants the name: %s", out)
	}
	// Until the configuration wants CAA to be looked at for these too.
	v.Kill()
	data, err := os.ReadFile(v.Config)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(data), "caa_check: open", "caa_check: always", 1)
	if changed == string(data) {
		t.Fatal("the configuration does not mention caa_check")
	}
	if err := os.WriteFile(v.Config, []byte(changed), 0o644); err != nil {
		t.Fatal(err)
	}
	v.Start(t)
	if out, status := run("renew", "--days", "900", "--no-random-sleep"); status == 0 || !strings.Contains(out, "names another CA") {
		t.Errorf("with caa_check: always: exit status %d\n%s", status, out)
	}
}
