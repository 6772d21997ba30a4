// Package webroot answers http-01 challenges (RFC 8555 §8.3) through a web server
// that runs already: it places the answers as files below the server's document
// root, and removes them and the directories it made.
package webroot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"vidimus/internal/authenticator"
	"vidimus/internal/durable"
)

// Webroot is the authenticator of one order. Root tells the document root of a name;
// "" is an error for that name.
type Webroot struct {
	Root func(name string) string
	// Made is shared by the orders that may run at the same time; nil for one that is
	// alone.
	Made *Made

	files, dirs []string // what was placed, and the directories it needs, in order
	noted       int      // of what this order has noted, all of which it removes
}

// Made knows the directories that orders made and still need. The last order that
// needs one removes it.
type Made struct {
	// Note is the file that says, while there is something, what a kill would leave
	// behind; see [Recover]. "" keeps none.
	Note string

	mu     sync.Mutex
	uses   map[string]int // orders that need a directory that was made; guarded by mu
	out    *os.File       // Note, while something is placed; guarded by mu
	placed int            // files and directories that are noted; guarded by mu
}

var _ authenticator.Authenticator = (*Webroot)(nil)

// Types implements [authenticator.Authenticator].
func (w *Webroot) Types() []string { return []string{"http-01"} }

// Hint implements [authenticator.Authenticator].
func (w *Webroot) Hint() string {
	return "The Certificate Authority failed to download the temporary challenge files. Ensure that the listed domains " +
		"serve their content from the provided --webroot-path/-w and that files created there can be downloaded from the internet."
}

// CheckRoot returns the absolute path of a document root, which must exist.
func CheckRoot(path string) (string, error) {
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		return "", fmt.Errorf("%s does not exist or is not a directory", path)
	}
	return filepath.Abs(path)
}

// Present writes the files, readable by the web server whatever the umask.
func (w *Webroot) Present(_ context.Context, challenges []authenticator.Challenge) error {
	if w.Made == nil {
		w.Made = new(Made)
	}
	for _, c := range challenges {
		if err := w.present(c); err != nil {
			return errors.Join(err, w.Cleanup(context.Background()))
		}
	}
	return nil
}

func (w *Webroot) present(c authenticator.Challenge) error {
	root := w.Root(c.Identifier.Value)
	if root == "" {
		return fmt.Errorf("no document root is known for %s: give one with -w DIR in front of -d %s", c.Identifier, c.Identifier)
	}
	root, err := CheckRoot(root)
	if err != nil {
		return err
	}
	if strings.ContainsAny(c.Token, "/.") {
		return fmt.Errorf("the CA's token %q for %s is not base64url", c.Token, c.Identifier)
	}
	dir, err := w.mkdirs(root)
	if err != nil {
		return fmt.Errorf("couldn't create the directory for %s's http-01 challenge: %w", c.Identifier, err)
	}
	path := filepath.Join(dir, c.Token) // in a directory that stays as long as w needs it
	os.Remove(path)                     // left by a run that was killed
	w.Made.mu.Lock()
	err = w.Made.note(path)
	w.Made.mu.Unlock()
	if err != nil {
		return err
	}
	w.noted++
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	w.files = append(w.files, path)
	_, err = f.WriteString(c.KeyAuthorization)
	return errors.Join(err, f.Chmod(0o644), f.Close())
}

// mkdirs makes what is missing of the challenge directory, with the owner of root.
func (w *Webroot) mkdirs(root string) (string, error) {
	info, err := os.Stat(root)
	if err != nil {
		return "", err
	}
	w.Made.mu.Lock()
	defer w.Made.mu.Unlock()
	dir := root
	for part := range strings.SplitSeq(strings.Trim(authenticator.HTTPPath, "/"), "/") {
		dir = filepath.Join(dir, part)
		made, err := w.mkdir(dir, info)
		if err != nil {
			return "", err
		}
		if made || w.Made.uses[dir] > 0 {
			w.need(dir)
		}
	}
	return dir, nil
}

// mkdir makes a directory unless there is one.
func (w *Webroot) mkdir(dir string, like fs.FileInfo) (made bool, err error) {
	if _, err := os.Stat(dir); err == nil {
		return false, nil
	}
	if err := w.Made.note(dir); err != nil {
		return false, err
	}
	w.noted++
	err = os.Mkdir(dir, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	w.need(dir) // whatever comes, it is removed
	durable.KeepOwner(dir, like)
	return true, os.Chmod(dir, 0o755) // not less, by the umask
}

// need notes, once, that this order needs a directory that was made. Made is locked.
func (w *Webroot) need(dir string) {
	if slices.Contains(w.dirs, dir) {
		return
	}
	if w.Made.uses == nil {
		w.Made.uses = map[string]int{}
	}
	w.Made.uses[dir]++
	w.dirs = append(w.dirs, dir)
}

// Cleanup removes the files, and the directories that were made, when no other order
// needs them and they are empty.
func (w *Webroot) Cleanup(context.Context) error {
	var errs []error
	for _, path := range w.files {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	if w.Made != nil {
		w.Made.mu.Lock()
		defer w.Made.mu.Unlock()
	}
	for _, dir := range slices.Backward(w.dirs) {
		if w.Made.uses[dir]--; w.Made.uses[dir] == 0 {
			delete(w.Made.uses, dir)
			os.Remove(dir) // stays when another program put something there
		}
	}
	if w.Made != nil {
		w.Made.forget(w.noted)
	}
	w.files, w.dirs, w.noted = nil, nil, 0
	return errors.Join(errs...)
}
