// Package credentials reads the files that hold what a DNS provider wants to see before
// it changes a zone: Certbot's, with lines like dns_rfc2136_name = key, and such that
// set environment variables, with lines like DESEC_TOKEN=secret.
//
// Errors name keys and files, never a value.
package credentials

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"vidimus/internal/configobj"
)

// maxSize bounds a credentials file, in bytes.
const maxSize = 1 << 20

// Read reads a credentials file and warns, as Certbot does, when users other than its
// owner and group may use it.
func Read(path string, log *slog.Logger) ([]byte, error) {
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("the credentials file %s does not exist: create it with mode 0600", path)
	case err != nil:
		return nil, fmt.Errorf("the credentials file cannot be read: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("the credentials file cannot be read: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("the credentials file %s is not a file: name one that holds the credentials", path)
	}
	if info.Mode().Perm()&0o007 != 0 && log != nil {
		log.Warn("Unsafe permissions on credentials configuration file: " + path + " (run chmod 600 on it)")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, fmt.Errorf("the credentials file cannot be read: %w", err)
	}
	if len(data) > maxSize {
		return nil, fmt.Errorf("the credentials file %s is larger than %d bytes: it cannot be one", path, maxSize)
	}
	return data, nil
}

// Path makes the path of a credentials file absolute and expands a leading ~/, as
// Certbot does.
func Path(path string, home func() (string, error)) (string, error) {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		dir, err := home()
		if err != nil {
			return "", fmt.Errorf("%s: the home directory is not known: give the full path", path)
		}
		path = filepath.Join(dir, rest)
	}
	return filepath.Abs(path)
}

// Key is one line that a file of Certbot's may have.
type Key struct {
	Name     string // dns_rfc2136_name
	Required bool
	What     string // for a person: "TSIG key name"
	Example  string // a value that works nowhere
}

// INI reads the text of a file of Certbot's. Of the keys, those that are required must
// be there; keys that are not in the list but begin like them are errors too, as they
// are misspelt, the others belong to somebody else.
func INI(path string, data []byte, keys []Key) (map[string]string, error) {
	file, err := configobj.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("the credentials file %s is not of the form key = value: %w", path, err)
	}
	values := make(map[string]string)
	for _, k := range keys {
		if file.IsList(k.Name) {
			return nil, fmt.Errorf("the credentials file %s has a list for %s: put the value in quotes", path, k.Name)
		}
		value := strings.TrimSpace(file.String(k.Name))
		if value == "" && k.Required {
			return nil, fmt.Errorf("the credentials file %s lacks %s (%s); such a file looks like this:\n%s", path, k.Name, k.What, Example(keys))
		}
		if value != "" {
			values[k.Name] = value
		}
	}
	for _, name := range file.Keys() {
		if !known(name, keys) && strings.HasPrefix(name, family(keys)) {
			return nil, fmt.Errorf("the credentials file %s has %s, which is not known; such a file looks like this:\n%s", path, name, Example(keys))
		}
	}
	return values, nil
}

func known(name string, keys []Key) bool {
	for _, k := range keys {
		if k.Name == name {
			return true
		}
	}
	return false
}

// family is what all keys begin with, such as dns_rfc2136_.
func family(keys []Key) string {
	if len(keys) == 0 {
		return "\x00"
	}
	parts := strings.SplitAfterN(keys[0].Name, "_", 3)
	return strings.Join(parts[:min(2, len(parts))], "")
}

// Example is a file with all keys.
func Example(keys []Key) string {
	var b strings.Builder
	for _, k := range keys {
		fmt.Fprintf(&b, "    %s = %s\n", k.Name, k.Example)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// Variables reads the text of a file that sets environment variables, one a line, as
// a shell would: NAME=value, perhaps with "export" in front and quotes around the
// value; lines that are empty or begin with # say nothing.
func Variables(path string, data []byte) (map[string]string, error) {
	values := make(map[string]string)
	for i, line := range strings.Split(string(data), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || !isVariable(name) {
			return nil, fmt.Errorf("the credentials file %s, line %d, is not of the form NAME=value", path, i+1)
		}
		if n := len(value); n >= 2 && value[0] == value[n-1] && (value[0] == '"' || value[0] == '\'') {
			value = value[1 : n-1]
		}
		if strings.ContainsRune(value, 0) {
			return nil, fmt.Errorf("the credentials file %s, line %d, has a zero byte in its value", path, i+1)
		}
		values[name] = value
	}
	return values, nil
}

func isVariable(name string) bool {
	for i, r := range name {
		letter := r == '_' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return name != ""
}
