package conformance

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"math/big"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/net/idna"
)

func TestCasesHaveASectionAndATitleOfTheirOwn(t *testing.T) {
	section := regexp.MustCompile(`^(RFC \d+|profiles) §\d+(\.\d+)*$`)
	had := make(map[string]bool)
	for _, c := range Cases() {
		if !section.MatchString(c.Section) || c.run == nil || c.Level != Must && c.Level != Should {
			t.Errorf("the case %+v is not whole", c)
		}
		if had[c.Title] {
			t.Errorf("two cases have the title %q", c.Title)
		}
		had[c.Title] = true
	}
}

func TestSelectedMatchesSectionAndTitle(t *testing.T) {
	for _, c := range Selected(regexp.MustCompile(`9773 §4\.1`)) {
		if c.Section != "RFC 9773 §4.1" {
			t.Errorf("%s was selected", c.Section)
		}
	}
	if len(Selected(nil)) != len(Cases()) || len(Selected(regexp.MustCompile("nonce"))) == 0 {
		t.Error("too few cases are selected")
	}
}

// What is not spoiled must be right, or the test would find servers good that refuse
// everything.
func TestAMessageThatIsNotSpoiledVerifies(t *testing.T) {
	a := stranger()
	m := &message{header: map[string]any{"alg": "ES256", "jwk": a.jwk(), "nonce": "n", "url": "https://ca.test/x"}, payload: []byte(`{}`), sign: a.sign}
	jws, err := jose.ParseSignedJSON(string(m.body()), []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	if payload, err := jws.Verify(a.key.Public()); err != nil || string(payload) != "{}" {
		t.Errorf("%q, %v", payload, err)
	}
	sum, err := jws.Signatures[0].Protected.JSONWebKey.Thumbprint(crypto.SHA256)
	if err != nil || base64.RawURLEncoding.EncodeToString(sum) != a.thumbprint() {
		t.Errorf("the thumbprint is %q, %v", a.thumbprint(), err)
	}
}

func TestTheWrongALabelIsWrong(t *testing.T) {
	if _, err := idna.Lookup.ToUnicode("xn--0.example.org"); err == nil {
		t.Error("xn--0 is a proper A-label")
	}
}

// The example of RFC 9773 §4.1.
func TestRenewalID(t *testing.T) {
	aki, serial := []byte{0x69, 0x88, 0x5b, 0x6b, 0x87, 0x46, 0x40, 0x41, 0xe1, 0xb3, 0x7b, 0x84, 0x7b, 0xa0, 0xae, 0x2c, 0xde, 0x01, 0xc8, 0xd4}, big.NewInt(0x0087654321)
	if got := renewalID(&x509.Certificate{AuthorityKeyId: aki, SerialNumber: serial}, nil); got != "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE" {
		t.Error(got)
	}
}

func TestAnAnswersLinksAreRead(t *testing.T) {
	a := &answer{header: http.Header{"Link": {`<https://ca.test/dir>;rel="index"`, `<https://ca.test/a>; rel="up", <https://ca.test/b>; rel=next`}}}
	for rel, want := range map[string]string{"index": "https://ca.test/dir", "up": "https://ca.test/a", "next": "https://ca.test/b", "alternate": ""} {
		if got := a.link(rel); got != want {
			t.Errorf("%s is %q, want %q", rel, got, want)
		}
	}
}

func TestWhatIsNoDirectoryIsSaidToBeNone(t *testing.T) {
	ts := httptest.NewServer(http.NotFoundHandler())
	defer ts.Close()
	err := Run(t.Context(), Options{Directory: ts.URL}, func(Result) { t.Error("a case ran") })
	if err == nil || !strings.Contains(err.Error(), "is not an ACME directory (status 404)") {
		t.Error(err)
	}
}
