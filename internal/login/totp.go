package login

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/url"
	"strings"
	"time"

	"rsc.io/qr"
)

// One-time codes are those of RFC 6238 with what every application knows: SHA-1, thirty
// seconds, six digits. A code is taken one step early and late.
const (
	totpStep      = 30 * time.Second
	totpWindow    = 1
	totpSecret    = 20 // bytes, RFC 4226 §4
	recoveryCodes = 10
)

var base32Text = base32.StdEncoding.WithPadding(base32.NoPadding)

func stepOf(t time.Time) int64 { return t.Unix() / int64(totpStep/time.Second) }

// totpCode is the code of a step (RFC 4226 §5.3).
func totpCode(secret []byte, step int64) string {
	mac := hmac.New(sha1.New, secret)
	binary.Write(mac, binary.BigEndian, step) // a hash takes all
	sum := mac.Sum(nil)
	from := sum[len(sum)-1] & 0xf
	return fmt.Sprintf("%06d", (binary.BigEndian.Uint32(sum[from:])&0x7fffffff)%1_000_000)
}

// CodeOf is the code that a person's program shows at a time, by their secret.
func CodeOf(secret []byte, t time.Time) string { return totpCode(secret, stepOf(t)) }

// stepOfCode finds the step at about now that a code is of.
func stepOfCode(secret []byte, code string, now time.Time) (step int64, ok bool) {
	code = strings.ReplaceAll(code, " ", "")
	at := stepOf(now)
	for s := at - totpWindow; s <= at+totpWindow; s++ {
		if subtle.ConstantTimeCompare([]byte(totpCode(secret, s)), []byte(code)) == 1 {
			step, ok = s, true
		}
	}
	return step, ok
}

// Enrolment is what a person needs to have one-time codes made by a program of theirs.
type Enrolment struct {
	Secret string // base32, in groups
	URI    string // otpauth://
	QR     QRCode // of the URI
}

func enrolment(issuer, login string, secret []byte) (Enrolment, error) {
	text := base32Text.EncodeToString(secret)
	issuer = strings.ReplaceAll(issuer, ":", " ") // which parts the label
	v := url.Values{"secret": {text}, "issuer": {issuer}, "algorithm": {"SHA1"}, "digits": {"6"}, "period": {"30"}}
	u := url.URL{Scheme: "otpauth", Host: "totp", Path: "/" + issuer + ":" + login, RawQuery: strings.ReplaceAll(v.Encode(), "+", "%20")}
	code, err := qr.Encode(u.String(), qr.M)
	if err != nil {
		return Enrolment{}, fmt.Errorf("making a QR code: %w", err)
	}
	return Enrolment{Secret: grouped(text), URI: u.String(), QR: qrCode(code)}, nil
}

// QRCode is a QR code as an SVG path.
type QRCode struct {
	Size int    // of the view box, with the border
	Path string // of the dark modules
}

func qrCode(c *qr.Code) QRCode {
	const border = 4 // ISO/IEC 18004 wants as many
	var path strings.Builder
	for y := range c.Size {
		for x := 0; x < c.Size; x++ {
			from := x
			for x < c.Size && c.Black(x, y) {
				x++
			}
			if x > from {
				fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", from+border, y+border, x-from, x-from)
			}
		}
	}
	return QRCode{Size: c.Size + 2*border, Path: path.String()}
}

// newRecoveryCodes makes codes of 80 random bits, and their hashes: nobody guesses them, so
// a quick hash is enough.
func newRecoveryCodes() (codes []string, hashes [][]byte) {
	for range recoveryCodes {
		c := randomBase32(10)
		codes, hashes = append(codes, grouped(c)), append(hashes, hashOfRecovery(c))
	}
	return codes, hashes
}

// hashOfRecovery hashes a recovery code as a person types it.
func hashOfRecovery(code string) []byte {
	code = strings.ToUpper(strings.NewReplacer(" ", "", "-", "").Replace(code))
	sum := sha256.Sum256([]byte(code))
	return sum[:]
}

// randomBase32 is n random bytes as base32.
func randomBase32(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return base32Text.EncodeToString(b)
}

// grouped parts a text by hyphens, to be read.
func grouped(s string) string {
	var b strings.Builder
	for i, c := range []byte(s) {
		if i > 0 && i%4 == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(c)
	}
	return b.String()
}
