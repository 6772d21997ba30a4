package webroot

import (
	"bufio"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"vidimus/internal/authenticator"
)

// note writes down, before it is made, a file or directory that a kill would leave
// behind. It is for [Recover], which a lost line only keeps from tidying up. Made is
// locked.
func (m *Made) note(path string) error {
	if m.Note == "" {
		return nil
	}
	if m.out == nil {
		f, err := os.OpenFile(m.Note, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return err
		}
		m.out = f
	}
	m.placed++
	_, err := m.out.WriteString(strconv.Quote(path) + "\n")
	return err
}

// forget counts what was removed. With the last of it the note goes. Made is locked.
func (m *Made) forget(n int) {
	if m.placed -= n; m.placed > 0 || m.out == nil {
		return
	}
	m.out.Close()
	os.Remove(m.Note)
	m.out, m.placed = nil, 0
}

// Recover removes the files and directories that a run left behind when it was killed;
// note is that run's [Made.Note]. Nothing else than challenge files and the directories
// above them is ever removed, and directories only when they are empty.
func Recover(note string) error {
	data, err := os.ReadFile(note)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var paths []string
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		if path, err := strconv.Unquote(lines.Text()); err == nil && ours(path) {
			paths = append(paths, path)
		}
	}
	var errs []error
	for _, path := range slices.Backward(paths) {
		info, err := os.Lstat(path)
		if err != nil || !info.IsDir() && !info.Mode().IsRegular() {
			continue
		}
		if err := os.Remove(path); err != nil && !info.IsDir() {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return os.Remove(note)
}

// ours tells whether a path can be one of a challenge.
func ours(path string) bool {
	if !filepath.IsAbs(path) || filepath.Clean(path) != path {
		return false
	}
	challenges := strings.TrimSuffix(authenticator.HTTPPath, "/")
	dir, name := filepath.Split(path)
	dir = strings.TrimSuffix(dir, "/")
	return strings.HasSuffix(path, challenges) || strings.HasSuffix(path, filepath.Dir(challenges)) ||
		strings.HasSuffix(dir, challenges) && strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}
