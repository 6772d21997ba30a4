package admin

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// passphrase gets the passphrase of a key file, once: from a file descriptor or from
// the terminal, never from an argument or the environment, which others may see.
type passphrase struct {
	fd    int // -1: ask at the terminal
	value []byte
}

func (p *passphrase) read(create bool) ([]byte, error) {
	if p.value != nil {
		return p.value, nil
	}
	var err error
	if p.fd >= 0 {
		p.value, err = fromDescriptor(p.fd)
	} else {
		p.value, err = fromTerminal(create)
	}
	if err == nil && len(p.value) == 0 {
		err = errors.New("the passphrase is empty")
	}
	return p.value, err
}

// fromDescriptor reads the first line.
func fromDescriptor(fd int) ([]byte, error) {
	const longest = 1024
	f := os.NewFile(uintptr(fd), "passphrase")
	if f == nil {
		return nil, usageError{fmt.Errorf("--passphrase-fd %d is not open", fd)}
	}
	data, err := io.ReadAll(io.LimitReader(f, longest+1))
	if err != nil {
		return nil, fmt.Errorf("reading the passphrase from file descriptor %d: %w", fd, err)
	}
	line, _, _ := bytes.Cut(data, []byte("\n"))
	if len(line) > longest {
		return nil, fmt.Errorf("the passphrase is longer than %d bytes", longest)
	}
	return bytes.TrimSuffix(line, []byte("\r")), nil
}

func fromTerminal(create bool) ([]byte, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, usageError{errors.New("there is no terminal to ask for the passphrase at; give it by --passphrase-fd")}
	}
	defer tty.Close()
	ask := func(prompt string) ([]byte, error) {
		fmt.Fprint(tty, prompt)
		defer fmt.Fprintln(tty)
		return term.ReadPassword(int(tty.Fd()))
	}
	if !create {
		return ask("Passphrase of the key: ")
	}
	first, err := ask("New passphrase for the key: ")
	if err != nil {
		return nil, err
	}
	second, err := ask("The same again: ")
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(first, second) {
		return nil, errors.New("the two passphrases differ; nothing was made")
	}
	return first, nil
}
