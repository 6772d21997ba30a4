package certificate

import (
	"bytes"
	"testing"
)

func FuzzPEM(f *testing.F) {
	key, err := KeySpec{}.Generate()
	if err != nil {
		f.Fatal(err)
	}
	data, err := MarshalKey(key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if key, err := ParseKey(data); err == nil {
			if _, err := MarshalKey(key); err != nil {
				t.Errorf("a key that was read cannot be written: %v", err)
			}
		}
		if chain, err := ParseChain(data); err == nil {
			again, err := ParseChain(MarshalChain(chain...))
			if err != nil || len(again) != len(chain) || !bytes.Equal(again[0].Raw, chain[0].Raw) {
				t.Errorf("a chain changes when it is written and read again: %v", err)
			}
		}
	})
}
