// Package nonce gives out anti-replay nonces (RFC 8555 §6.5) and takes each back
// once. Nothing is stored per nonce: a nonce is a counter under a MAC, and one bit
// of a ring says whether it has come back.
package nonce

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"sync"
)

// Window is how many of the newest nonces are still good: the bits take 128 KiB.
// At a thousand requests per second a nonce lives 17 minutes.
const Window = 1 << 20

const (
	counterLen = 8
	macLen     = 16
)

// Source gives out nonces and redeems them. It is safe for concurrent use. Its
// nonces die with it: after a restart clients are told badNonce once and go on.
type Source struct {
	key [32]byte

	mu   sync.Mutex
	next uint64              // the counter of the next nonce; guarded by mu
	used [Window / 64]uint64 // bit c mod Window: counter c has been redeemed; guarded by mu
}

// New makes a source with a fresh key.
func New() *Source {
	s := new(Source)
	rand.Read(s.key[:])
	return s
}

// Next gives out a nonce: 32 characters of base64url.
func (s *Source) Next() string {
	s.mu.Lock()
	c := s.next
	s.next++
	s.used[c%Window/64] &^= 1 << (c % 64) // the slot's nonce of a whole window ago is dead from here on
	s.mu.Unlock()

	raw := binary.BigEndian.AppendUint64(make([]byte, 0, counterLen+macLen), c)
	return base64.RawURLEncoding.EncodeToString(s.appendMAC(raw))
}

// Redeem tells whether nonce came from this source, is not too old, and has not
// been redeemed before.
func (s *Source) Redeem(nonce string) bool {
	if len(nonce) != base64.RawURLEncoding.EncodedLen(counterLen+macLen) {
		return false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(nonce)
	if err != nil {
		return false
	}
	want := s.appendMAC(append(make([]byte, 0, counterLen+macLen), raw[:counterLen]...))
	if subtle.ConstantTimeCompare(raw, want) != 1 {
		return false
	}
	c := binary.BigEndian.Uint64(raw)

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next-c > Window {
		return false
	}
	bit := uint64(1) << (c % 64)
	word := &s.used[c%Window/64]
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	return true
}

func (s *Source) appendMAC(counter []byte) []byte {
	mac := hmac.New(sha256.New, s.key[:])
	mac.Write(counter)
	return append(counter, mac.Sum(nil)[:macLen]...)
}
