package login

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/argon2"
)

// HashCost is what it takes to hash a password by argon2id (RFC 9106).
type HashCost struct {
	Time    uint32 // passes
	Memory  uint32 // KiB
	Threads uint8
}

// DefaultHashCost is the second of the options that RFC 9106 §4 recommends: 64 MiB.
var DefaultHashCost = HashCost{Time: 3, Memory: 64 << 10, Threads: 4}

// Bounds of what is read from the database.
const (
	maxHashTime   = 20
	maxHashMemory = 1 << 20 // KiB: 1 GiB
)

const (
	// hashesAtOnce bounds the memory that those take who try passwords.
	hashesAtOnce = 2
	// hashPatience is how long a log-in waits for its turn.
	hashPatience = 5 * time.Second
	// LongestPassword is in bytes; a longer one is no password.
	LongestPassword = 1024
	// ShortestPassword is in characters (NIST SP 800-63B §5.1.1.2).
	ShortestPassword = 10
)

// ErrBusy says that too many people log in just now.
var ErrBusy = errors.New("too many people are logging in just now; try again in a moment")

// Hasher hashes passwords, few at a time. It is safe for concurrent use.
type Hasher struct {
	cost  HashCost
	turns chan struct{}
	none  string // the hash of no password
}

// NewHasher makes a hasher of that cost.
func NewHasher(cost HashCost) *Hasher {
	h := &Hasher{cost: cost, turns: make(chan struct{}, hashesAtOnce)}
	h.none = h.encode(make([]byte, 16), make([]byte, 32))
	return h
}

func (h *Hasher) turn(ctx context.Context) (done func(), err error) {
	patience := time.NewTimer(hashPatience)
	defer patience.Stop()
	select {
	case h.turns <- struct{}{}:
		return func() {
			<-h.turns
			debug.FreeOSMemory() // or the server would stay as large as it was with that hash
		}, nil
	case <-patience.C:
		return nil, ErrBusy
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (h *Hasher) encode(salt, sum []byte) string {
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.cost.Memory, h.cost.Time, h.cost.Threads, b64(salt), b64(sum))
}

// Hash hashes a password with a salt of its own, in PHC string format.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	done, err := h.turn(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	salt := make([]byte, 16)
	rand.Read(salt) // never fails
	return h.encode(salt, argon2.IDKey([]byte(password), salt, h.cost.Time, h.cost.Memory, h.cost.Threads, 32)), nil
}

// Verify tells whether a password is the one of a hash, and whether that had better be
// made anew, as it was made at another cost. The hash "" is that of no password, and takes
// as long.
func (h *Hasher) Verify(ctx context.Context, hash, password string) (right, anew bool, err error) {
	there := hash != ""
	if !there {
		hash = h.none
	}
	cost, salt, sum, err := parseHash(hash)
	if err != nil {
		return false, false, err
	}
	if len(password) > LongestPassword {
		password, there = "", false
	}
	done, err := h.turn(ctx)
	if err != nil {
		return false, false, err
	}
	defer done()
	got := argon2.IDKey([]byte(password), salt, cost.Time, cost.Memory, cost.Threads, uint32(len(sum)))
	return subtle.ConstantTimeCompare(got, sum) == 1 && there, cost != h.cost, nil
}

var errHash = errors.New("a password's hash in the database can't be read; give the person a new password: vidimusd admin person password LOGIN")

// parseHash reads the PHC string format of argon2id.
func parseHash(s string) (c HashCost, salt, sum []byte, err error) {
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return c, nil, nil, errHash
	}
	params := strings.Split(parts[3], ",")
	if len(params) != 3 {
		return c, nil, nil, errHash
	}
	var n [3]uint64
	for i, p := range []struct {
		key  string
		most uint64
	}{{"m=", maxHashMemory}, {"t=", maxHashTime}, {"p=", 255}} {
		value, ok := strings.CutPrefix(params[i], p.key)
		if n[i], err = strconv.ParseUint(value, 10, 32); !ok || err != nil || n[i] < 1 || n[i] > p.most {
			return c, nil, nil, errHash
		}
	}
	b64 := base64.RawStdEncoding.Strict()
	salt, err = b64.DecodeString(parts[4])
	if err == nil {
		sum, err = b64.DecodeString(parts[5])
	}
	if err != nil || len(salt) < 8 || len(salt) > 64 || len(sum) < 16 || len(sum) > 64 {
		return c, nil, nil, errHash
	}
	return HashCost{Memory: uint32(n[0]), Time: uint32(n[1]), Threads: uint8(n[2])}, salt, sum, nil
}

// CheckNew tells what is wrong with a password that somebody wants to have; nil for one
// that is good.
func CheckNew(login, password string) error {
	switch {
	case len([]rune(password)) < ShortestPassword:
		return fmt.Errorf("the password is too short; take at least %d characters", ShortestPassword)
	case len(password) > LongestPassword:
		return fmt.Errorf("the password is too long; take at most %d bytes", LongestPassword)
	case strings.EqualFold(password, login) || len(login) > 3 && strings.Contains(strings.ToLower(password), strings.ToLower(login)) && len(password) < len(login)+6:
		return errors.New("the password is too much like the login; choose another")
	case len(strings.Trim(password, password[:1])) == 0:
		return errors.New("the password is one character again and again; choose another")
	}
	return nil
}

// RandomPassword makes a password of 100 random bits that can be read out and typed.
func RandomPassword() string { return grouped(randomBase32(13)[:20]) }
