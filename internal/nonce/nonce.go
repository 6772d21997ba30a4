// Package nonce gives out anti-replay nonces (RFC 8555 §6.5) and takes each back once.
//
// [Source] is for one server. Nothing is stored per nonce: a nonce is a counter under a
// MAC, and one bit of a ring says whether it has come back. [Shared] is for several
// servers on one database.
package nonce

import (
	"context"
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
	return base64.RawURLEncoding.EncodeToString(appendMAC(raw, s.key[:]))
}

// Known tells, at no cost, whether nonce could be redeemed now. There is never an
// error.
func (s *Source) Known(_ context.Context, nonce string) (bool, error) {
	c, ok := s.counter(nonce)
	if !ok {
		return false, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.good(c), nil
}

// Redeem tells whether nonce came from this source, is not too old, and has not
// been redeemed before. There is never an error.
func (s *Source) Redeem(_ context.Context, nonce string) (bool, error) { return s.redeem(nonce), nil }

func (s *Source) redeem(nonce string) bool {
	c, ok := s.counter(nonce)
	if !ok {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.good(c) {
		return false
	}
	s.used[c%Window/64] |= 1 << (c % 64)
	return true
}

// counter reads a nonce of ours.
func (s *Source) counter(nonce string) (c uint64, ok bool) {
	raw, ok := decode(nonce, counterLen+macLen)
	if !ok || !goodMAC(raw, s.key[:]) {
		return 0, false
	}
	return binary.BigEndian.Uint64(raw), true
}

// decode reads so many bytes in base64url. That of Go skips line breaks, so the text may
// be as long as it should and hold less.
func decode(text string, size int) ([]byte, bool) {
	if len(text) != base64.RawURLEncoding.EncodedLen(size) {
		return nil, false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return raw, err == nil && len(raw) == size
}

// good tells whether the counter is in the window and has not been redeemed; s.mu is
// held.
func (s *Source) good(c uint64) bool {
	return s.next-c <= Window && s.used[c%Window/64]&(1<<(c%64)) == 0
}

func appendMAC(plain, key []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(plain)
	return append(plain, mac.Sum(nil)[:macLen]...)
}

func goodMAC(raw, key []byte) bool {
	want := appendMAC(append(make([]byte, 0, len(raw)), raw[:len(raw)-macLen]...), key)
	return subtle.ConstantTimeCompare(raw, want) == 1
}
