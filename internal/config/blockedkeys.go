package config

import (
	"fmt"

	"vidimus/internal/weakkey"
)

// completeBlockedKeys reads the lists of keys that are refused, if only to find what is
// wrong with them.
func (c *Config) completeBlockedKeys(r *reader) {
	for i, file := range c.BlockedKeys {
		path := fmt.Sprintf("blocked_keys.%d", i)
		if file == "" {
			r.add(path, "name a file with one SHA-256 hash of a public key a line")
			continue
		}
		c.BlockedKeys[i] = r.path(file)
		if _, err := weakkey.Load(c.BlockedKeys[i]); err != nil {
			r.add(path, "%v", err)
		}
	}
}
