package issuer

import (
	"bytes"
	"math/big"
	"testing"
	"time"
)

func TestSerialNumbersAreInTheOrderOfTime(t *testing.T) {
	now := time.Now()
	first, second, later := newSerial(now), newSerial(now), newSerial(now.Add(time.Millisecond))
	if bytes.Equal(first, second) || bytes.Compare(first, later) >= 0 || bytes.Compare(second, later) >= 0 {
		t.Errorf("%x, %x, %x", first, second, later)
	}
	for _, at := range []time.Time{{}, now, time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)} {
		if n := new(big.Int).SetBytes(newSerial(at)); n.Sign() <= 0 || len(n.Bytes()) != 18 || n.BitLen() > 18*8-1 {
			t.Errorf("at %s: %x, which is not positive in 18 bytes", at, n)
		}
	}
}
