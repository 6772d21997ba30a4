package issuer

import (
	"crypto/rand"
	"encoding/binary"
	"time"
)

// newSerial makes a serial number for a certificate made at a time: 18 bytes (of the 20
// that RFC 5280 §4.1.2.2 allows), positive, with 88 random bits (64 at least: CA/Browser
// Forum Baseline Requirements §7.1). The milliseconds before them keep the numbers in the
// order of time, and what belongs to certificates of one hour together in a database that
// holds millions.
func newSerial(now time.Time) []byte {
	serial := make([]byte, 18)
	binary.BigEndian.PutUint64(serial, uint64(now.UnixMilli())&(1<<48-1)|0x56<<48) // 0, 0x56, 6 bytes of time
	copy(serial, serial[1:8])
	rand.Read(serial[7:])
	return serial
}
