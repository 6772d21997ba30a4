package admin

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"vidimus/internal/directory"
	"vidimus/internal/login"
	"vidimus/internal/store"
)

// personOf finds a person by login.
func personOf(c *cobra.Command, d *directory.Directory, name string) (store.Person, error) {
	p, err := d.Store.PersonAlone(c.Context(), name)
	return p, notThere(err, "there is no person %s; enter them first: vidimusd admin person add %[1]s", name)
}

// setPassword gives a person a password for the portal, or takes it away.
func setPassword(t *tool) *cobra.Command {
	var generate, remove bool
	c := &cobra.Command{
		Use: "password LOGIN", Short: "Give a person a password for the portal", Args: exactly(1, "the person's login"),
		Long: `Give a person a password for the portal, where the configuration has "password" among the
ways of logging in. It is asked for at the terminal, or read from the first line of
standard input where that is no terminal; with --generate it is made up and printed. It is
kept as a hash (argon2id). All sessions of the person end. One-time codes stay: see
"vidimusd admin person totp-reset".`,
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, args []string) error {
			if generate && remove {
				return usageError{errors.New("--generate and --remove don't go together")}
			}
			p, err := personOf(c, d, args[0])
			if err != nil {
				return err
			}
			if remove {
				if err := d.Store.RemovePassword(c.Context(), p); err != nil {
					return notThere(err, "%s has no password here", p.Login)
				}
				return t.done(c.OutOrStdout(), map[string]string{"login": p.Login}, "%s has no password here any more.", p.Login)
			}
			password, err := newPassword(c.InOrStdin(), p.Login, generate)
			if err != nil {
				return err
			}
			hash, err := login.NewHasher(login.DefaultHashCost).Hash(c.Context(), password)
			if err != nil {
				return err
			}
			if err := d.Store.SetPassword(c.Context(), p, hash, time.Now(), 0); err != nil {
				return err
			}
			if generate {
				return t.done(c.OutOrStdout(), map[string]string{"login": p.Login, "password": password}, "The password of %s is now: %s", p.Login, password)
			}
			return t.done(c.OutOrStdout(), map[string]string{"login": p.Login}, "%s has a new password.", p.Login)
		}),
	}
	c.Flags().BoolVar(&generate, "generate", false, "make one up, and print it")
	c.Flags().BoolVar(&remove, "remove", false, "take the password away")
	return c
}

// newPassword makes a password up, or reads it, and tells what is wrong with it.
func newPassword(in io.Reader, name string, generate bool) (string, error) {
	if generate {
		return login.RandomPassword(), nil
	}
	var data []byte
	var err error
	if f, ok := in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		data, err = askTwice("New password for " + name + ": ")
	} else {
		data, err = bufio.NewReader(io.LimitReader(in, 2*login.LongestPassword)).ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			err = nil
		}
		data = bytes.TrimRight(data, "\r\n")
	}
	if err != nil {
		return "", err
	}
	return string(data), login.CheckNew(name, string(data))
}

func askTwice(prompt string) ([]byte, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, usageError{errors.New("there is no terminal to ask at; give the password by standard input, or use --generate")}
	}
	defer tty.Close()
	ask := func(prompt string) ([]byte, error) {
		fmt.Fprint(tty, prompt)
		defer fmt.Fprintln(tty)
		return term.ReadPassword(int(tty.Fd()))
	}
	first, err := ask(prompt)
	if err != nil {
		return nil, err
	}
	second, err := ask("The same again: ")
	if err == nil && !bytes.Equal(first, second) {
		err = errors.New("the two passwords differ; nothing was changed")
	}
	return first, err
}

// resetCodes asks a person for no one-time codes any more, when they have lost theirs.
func resetCodes(t *tool) *cobra.Command {
	return &cobra.Command{
		Use: "totp-reset LOGIN", Short: "Ask a person for no one-time codes any more", Args: exactly(1, "the person's login"),
		Long: `Forget the one-time codes of a person who has lost their authenticator app and recovery
codes. Where the configuration requires codes they set them up anew when they log in next.`,
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, args []string) error {
			p, err := personOf(c, d, args[0])
			if err != nil {
				return err
			}
			if err := d.Store.RemoveTOTP(c.Context(), p); err != nil {
				return notThere(err, "%s has no one-time codes", p.Login)
			}
			return t.done(c.OutOrStdout(), map[string]string{"login": p.Login}, "%s is asked for no one-time codes any more.", p.Login)
		}),
	}
}

// sessions lists where a person is logged in, or ends all that.
func sessions(t *tool) *cobra.Command {
	var end bool
	c := &cobra.Command{
		Use: "sessions LOGIN", Short: "List where a person is logged in to the portal, or log them out", Args: exactly(1, "the person's login"),
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, args []string) error {
			p, err := personOf(c, d, args[0])
			if err != nil {
				return err
			}
			if end {
				n, err := d.Store.EndSessions(c.Context(), p, 0)
				if err != nil {
					return err
				}
				return t.done(c.OutOrStdout(), map[string]any{"login": p.Login, "ended": n}, "Ended %d sessions of %s.", n, p.Login)
			}
			all, err := d.Store.Sessions(c.Context(), p.ID, time.Now())
			if err != nil {
				return err
			}
			rows := make([][]string, len(all))
			for i, s := range all {
				rows[i] = []string{day(s.Created), day(s.Seen), s.Method, s.Address, s.UserAgent}
			}
			return t.list(c.OutOrStdout(), all, "SINCE\tLAST USED\tBY\tFROM\tBROWSER", rows)
		}),
	}
	c.Flags().BoolVar(&end, "end", false, "log the person out everywhere")
	return c
}
