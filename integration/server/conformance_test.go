package server

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"vidimus/integration/peer"
)

// result is one of "vidimusd conformance --json".
type result struct{ Section, Title, Outcome, Reason string }

// conform runs the conformance test and returns the results, of which there must be
// as many as there are cases.
func conform(t *testing.T, directory, bundle, name string, http01, tlsALPN01 int, args ...string) []result {
	t.Helper()
	bin := peer.Build(t, "vidimusd")
	var cases, results []result
	if err := json.Unmarshal([]byte(peer.Must(t, exec.Command(bin, "conformance", "--list", "--json"))), &cases); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, append([]string{"conformance", directory, "--json", "--ca-bundle", bundle, "--domain", name, "--http-01-port", fmt.Sprint(http01), "--tls-alpn-01-port", fmt.Sprint(tlsALPN01)}, args...)...)
	out, err := cmd.Output()
	if e := json.Unmarshal(out, &results); e != nil {
		t.Fatalf("%v: %v\n%s", err, e, out)
	}
	if len(results) != len(cases) {
		t.Errorf("%d results of %d cases", len(results), len(cases))
	}
	failed := false
	for _, r := range results {
		failed = failed || r.Outcome == "fail"
	}
	if failed != (err != nil) {
		t.Errorf("the exit status is of %v, with failures: %v", err, failed)
	}
	return results
}

// judge compares the results with those that are known to be bad, by their titles, each
// with what the server does instead. These must fail: one that passes is to leave its list.
func judge(t *testing.T, results []result, lists ...map[string]string) {
	t.Helper()
	bad := make(map[string]bool)
	for _, l := range lists {
		for title := range l {
			bad[title] = true
		}
	}
	for _, r := range results {
		isBad := r.Outcome == "fail" || r.Outcome == "warn"
		switch {
		case isBad && !bad[r.Title]:
			t.Errorf("%s: %s: %s: %s", r.Outcome, r.Section, r.Title, r.Reason)
		case r.Outcome == "pass" && bad[r.Title]:
			t.Errorf("%s: %s: is listed as a known failure, and passes", r.Section, r.Title)
		case r.Outcome == "skip":
			t.Logf("skip: %s: %s: %s", r.Section, r.Title, r.Reason)
		}
	}
}

func TestConformanceOfTheOpenDirectory(t *testing.T) {
	zone := fmt.Sprintf("127.0.0.1:%d", peer.FreePort(t)) // where the test answers DNS questions
	v := peer.StartVidimusd(t, "--resolver", zone)
	v.Kill()
	text, err := os.ReadFile(v.Config)
	if err != nil {
		t.Fatal(err)
	}
	const open = "    open: true"
	if !strings.Contains(string(text), open) {
		t.Fatalf("there is no %q in\n%s", open, text)
	}
	text = []byte(strings.Replace(string(text), open, "    subdomain_authorization: true\n    terms_of_service: https://example.org/terms\n    profiles: [{name: classic}, {name: short, validity: 7d}]\n"+open, 1))
	if err := os.WriteFile(v.Config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	v.Start(t)
	results := conform(t, v.DirectoryOpen, v.CABundle, "conformance.uni.test", v.HTTPPort, v.TLSPort, "--dns", zone, "--address", "127.0.0.1")
	judge(t, results)
	for _, r := range results {
		if r.Outcome == "skip" && !strings.HasPrefix(r.Section, "RFC 8555 §7.3.4") && !strings.Contains(r.Reason, "1024 bits") && !strings.Contains(r.Reason, "no such key") {
			t.Errorf("skipped: %s: %s: %s", r.Section, r.Title, r.Reason)
		}
	}
}

func TestConformanceOfTheDirectoryWithAccountBinding(t *testing.T) {
	v := peer.StartVidimusd(t)
	var args []string
	for n := range 8 { // accounts that the test needs; the first gets the certificates
		c := v.NewACMEID(t, fmt.Sprintf("conformance%d.uni.test", n))
		file := filepath.Join(t.TempDir(), "hmac")
		if err := os.WriteFile(file, []byte(c.HMACKey+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--eab-kid", c.KID, "--eab-hmac-key-file", file)
	}
	judge(t, conform(t, v.Directory, v.CABundle, "conformance0.uni.test", v.HTTPPort, v.TLSPort, args...))
}

// ofPebble are rules that Pebble does not keep.
var ofPebble = map[string]string{
	"the directory may be read by scripts of other origins (Access-Control-Allow-Origin: *)":               "there are no CORS header fields",
	"the unencoded payload option (b64: false) is refused":                                                 "it is understood",
	"alg none is refused as badSignatureAlgorithm, with status 400 and the list of algorithms":             "the list is in the text only",
	"a MAC algorithm is refused as badSignatureAlgorithm, with status 400 and the list of algorithms":      "the list is in the text only",
	"an unknown algorithm is refused as badSignatureAlgorithm, with status 400 and the list of algorithms": "the list is in the text only",
	"EdDSA with Ed25519 is accepted":                                                             "it is not",
	"another account can't be read by POST-as-GET":                                               "the signer's is shown, whatever the URL",
	"a url in the header that is not the request's is refused as unauthorized":                   "it is refused as malformed",
	"a url that differs in its query only is refused as unauthorized":                            "it is refused as malformed",
	"a nonce that is not base64url is refused as malformed":                                      "it is refused as badNonce",
	"newNonce must not be cached (Cache-Control: no-store)":                                      "no-cache in its place",
	"a mailto contact with header fields is refused as invalidContact":                           "it is accepted",
	"an update of orders, termsOfServiceAgreed or an unknown field is ignored":                   "it is refused as empty",
	"an update of status to anything but deactivated is ignored":                                 "it is refused as empty",
	"another account can't be changed":                                                           "the signer's is changed, whatever the URL",
	"an inner JWS with a nonce is refused":                                                       "it is accepted",
	"the key of another account is refused":                                                      "the answer is 200, though nothing is changed",
	"the key of another account gets status 409 and that account's URL":                          "the answer is 200, though nothing is changed",
	"a name of one empty label is refused":                                                       "it is accepted",
	"an A-label that is not properly encoded is refused":                                         "it is accepted",
	"a CSR that does not fit is refused as badCSR, and the order stays ready":                    "it is refused as unauthorized",
	"a challenge is linked to its authorization (Link: up)":                                      "it has no link when it is fetched",
	"white space after the http-01 answer is ignored":                                            "it is not",
	"fields of a challenge response that are not specified are ignored":                          "a wrong type of one is refused",
	"a deactivated account gets status 401 and unauthorized":                                     "the status is 403",
	"another account can't be deactivated":                                                       "the signer's is deactivated, whatever the URL",
	"a notAfter before notBefore is refused":                                                     "it is accepted",
	"a tls-alpn-01 certificate with an address besides the name makes the authorization invalid": "addresses are not looked at",
}

// Pebble is another server by other people: what it does well, our test must find so.
func TestConformanceOfPebble(t *testing.T) {
	if peer.OnPostgres() {
		t.Skip("Pebble has no database of ours: the run on SQLite is the same")
	}
	zone := fmt.Sprintf("127.0.0.1:%d", peer.FreePort(t))
	p := peer.StartPebbleWith(t, peer.PebbleOptions{Env: append(peer.Quick, "PEBBLE_AUTHZREUSE=0"), DNSServer: zone})
	judge(t, conform(t, p.Directory, p.CABundle, "conformance.uni.test", p.HTTPPort, p.TLSPort, "--dns", zone, "--address", "127.0.0.1"), ofPebble)
}
