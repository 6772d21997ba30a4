package renewal

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Notes remember, through a kill, which deploy hooks are still to run: one file for
// each lineage, which holds the version that was, or is about to be, deployed. A
// note is written before the version comes into use and removed after its hooks.
type Notes struct {
	Dir string // made when needed
}

func (n Notes) path(name string) string { return filepath.Join(n.Dir, name) }

// Put notes that the deploy hooks for a version of the lineage are to run. It is there
// after a kill; a power cut may lose it, but then every service starts anew anyway.
func (n Notes) Put(name string, version int) error {
	data := []byte(strconv.Itoa(version) + "\n")
	err := os.WriteFile(n.path(name), data, 0o644)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(n.Dir, 0o755); err != nil {
			return err
		}
		err = os.WriteFile(n.path(name), data, 0o644)
	}
	return err
}

// Names tells which lineages have a note.
func (n Notes) Names() map[string]bool {
	entries, _ := os.ReadDir(n.Dir)
	names := map[string]bool{}
	for _, e := range entries {
		names[e.Name()] = true
	}
	return names
}

// Version returns the noted version of a lineage; 0 is none.
func (n Notes) Version(name string) int {
	data, err := os.ReadFile(n.path(name))
	if err != nil {
		return 0
	}
	v, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return 0
	}
	return v
}

// Drop removes the note of a lineage.
func (n Notes) Drop(name string) error {
	if err := os.Remove(n.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
