package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"vidimus/internal/settings"
)

// A usageError is a command line that makes no sense; the exit status is 2.
type usageError struct{ error }

func misuse(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// command is what the program was asked to do.
type command struct {
	verb  *verb
	help  bool
	topic string // of the help; may be ""
	show  bool   // the version
	opts  *options
	// write prints something that is made from the options alone, such as a manual.
	write func(w io.Writer, name string) error
}

func newOptions() *options {
	return &options{Settings: settings.Default(), maxLogBackups: 1000, parallel: 8, timeout: 90 * time.Second}
}

// parse reads a command line by Certbot's grammar: one verb anywhere, options
// before and after it, unambiguous beginnings of long options. Then it reads
// cli.ini for what the command line left open.
func parse(args []string, getenv func(string) string) (cmd *command, err error) {
	cmd = &command{opts: newOptions()}
	table := cmd.opts.table()
	if len(args) > 0 && args[0] == "help" {
		cmd.help, args = true, append([]string{}, args[1:]...)
		if len(args) > 0 {
			cmd.topic = args[0]
		}
		return cmd, nil
	}
	if len(args) > 0 && (args[0] == "completion" || args[0] == "man") {
		cmd.write, err = writer(args)
		return cmd, err
	}
	args, asked, err := expand(args, table)
	if err != nil {
		return nil, err
	}
	if asked >= 0 {
		cmd.show = args[asked] == "--version"
		cmd.help = !cmd.show
		if asked+1 < len(args) && isTopic(args[asked+1]) {
			cmd.topic = args[asked+1]
		} else if v := firstVerb(args); v != nil {
			cmd.topic = v.name
		}
		return cmd, nil
	}
	if cmd.verb, err = cmd.flags(args, table); err != nil {
		return nil, err
	}
	return cmd, cmd.opts.readInis(table, cmd.verb, getenv)
}

// flags hands the options to pflag and picks the verb.
func (c *command) flags(args []string, table []*option) (*verb, error) {
	set := pflag.NewFlagSet("vidimus", pflag.ContinueOnError)
	set.SetOutput(discard{})
	for _, o := range table {
		for i, name := range strings.Fields(o.names) {
			short := o.short
			if i > 0 {
				short = ""
			}
			f := set.VarPF(&value{o: o, opts: c.opts}, name, short, "")
			if o.arg == "" {
				f.NoOptDefVal = "true"
			}
		}
	}
	if err := set.Parse(args); err != nil {
		return nil, usageError{explainFlag(err)}
	}
	rest := set.Args()
	if len(rest) == 0 {
		return findVerb("run"), nil
	}
	v := findVerb(rest[0])
	if v == nil {
		return nil, misuse("there is no command %q; there are %s", rest[0], verbNames())
	}
	if len(rest) > 1 {
		return nil, misuse("unrecognized argument %q after the command %s; options begin with a dash", rest[1], v.name)
	}
	return v, nil
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// explainFlag words pflag's errors.
func explainFlag(err error) error {
	var invalid *pflag.InvalidValueError
	var missing *pflag.ValueRequiredError
	var unknown *pflag.NotExistError
	switch {
	case errors.As(err, &invalid):
		return fmt.Errorf("--%s: %w", invalid.GetFlag().Name, errors.Unwrap(invalid))
	case errors.As(err, &missing):
		return fmt.Errorf("--%s needs a value", missing.GetFlag().Name)
	case errors.As(err, &unknown):
		name := "--" + unknown.GetSpecifiedName()
		if unknown.GetSpecifiedShortnames() != "" {
			name = "-" + unknown.GetSpecifiedName()
		}
		return fmt.Errorf("there is no option %s (see --help all)", name)
	}
	return err
}

// value lets pflag set an option.
type value struct {
	o    *option
	opts *options
}

func (v *value) String() string { return "" }
func (v *value) Type() string   { return v.o.arg }
func (v *value) Set(text string) error {
	if v.o.arg == "" && text != "true" {
		return errors.New("it takes no value")
	}
	if err := v.o.set(text); err != nil {
		return err
	}
	v.opts.MarkSet(v.o.dest)
	return nil
}

// expand completes beginnings of long options, as Certbot accepts them. asked is
// where help or the version is asked for; -1 is nowhere.
func expand(args []string, table []*option) (out []string, asked int, err error) {
	out, asked = slices.Clone(args), -1
	for i := 0; i < len(out); i++ {
		if out[i] == "--" {
			break
		}
		name, text, hasValue := strings.Cut(strings.TrimPrefix(out[i], "--"), "=")
		if !strings.HasPrefix(out[i], "--") {
			if out[i] == "-h" && asked < 0 {
				asked = i
			}
			if skipShort(out[i], table) == 1 {
				if err := checkValue(out[i:], table); err != nil {
					return nil, -1, err
				}
				i++
			}
			continue
		}
		full, o, err := complete(name, table)
		if err != nil {
			return nil, -1, err
		}
		out[i] = "--" + full
		if o == nil && (full == "help" || full == "version") && asked < 0 {
			asked = i
		}
		if hasValue {
			out[i] += "=" + text
		} else if o != nil && o.arg != "" {
			if err := checkValue(out[i:], table); err != nil {
				return nil, -1, err
			}
			i++
		}
	}
	return out, asked, nil
}

// checkValue refuses an option where the first of args needs a value, which is then
// missing. Other values may begin with a dash, as keys do.
func checkValue(args []string, table []*option) error {
	if len(args) < 2 {
		return nil // pflag says so
	}
	next, known := args[1], false
	if name, _, _ := strings.Cut(strings.TrimPrefix(next, "--"), "="); strings.HasPrefix(next, "--") {
		full, o, err := complete(name, table)
		known = name != "" && (err != nil || o != nil || full == "help" || full == "version")
	} else if len(next) == 2 && next[0] == '-' {
		known = next == "-h" || slices.ContainsFunc(table, func(o *option) bool { return o.short == next[1:] })
	}
	if known {
		return misuse("%s needs a value, and %s is an option: if it is the value, write %s=%s", args[0], next, args[0], next)
	}
	return nil
}

// skipShort tells how many arguments behind a short option are its value.
func skipShort(arg string, table []*option) int {
	if len(arg) < 2 || arg[0] != '-' {
		return 0
	}
	for i, letter := range arg[1:] {
		for _, o := range table {
			if o.short == string(letter) && o.arg != "" {
				if i == len(arg)-2 {
					return 1
				}
				return 0
			}
		}
	}
	return 0
}

// own are the options that Certbot doesn't have. What is short for one of Certbot's
// stays so.
var own = []string{"eab-hmac-key-file", "autorenew", "json", "parallel", "dns", "dns-credentials", "dns-propagation-seconds"}

func complete(name string, table []*option) (string, *option, error) {
	if name == "help" || name == "version" {
		return name, nil, nil
	}
	if o := findOption(table, name); o != nil || name == "" {
		return name, o, nil
	}
	var found []string
	var hits []*option
	for _, theirs := range []bool{true, false} {
		for _, o := range table {
			for _, n := range strings.Fields(o.names) {
				if slices.Contains(own, n) == theirs || !strings.HasPrefix(n, name) {
					continue
				}
				found = append(found, "--"+n)
				if !slices.Contains(hits, o) {
					hits = append(hits, o)
				}
			}
		}
		if len(hits) > 0 {
			break
		}
	}
	for _, n := range []string{"help", "version"} {
		if len(name) > 1 && strings.HasPrefix(n, name) && len(hits) == 0 {
			return n, nil, nil
		}
	}
	switch len(hits) {
	case 0:
		return name, nil, nil // pflag says so
	case 1:
		return strings.TrimPrefix(found[0], "--"), hits[0], nil
	}
	return "", nil, misuse("--%s is ambiguous: it could be %s", name, few(found))
}

// few lists as many as a person reads.
func few(all []string) string {
	const most = 12
	if len(all) <= most {
		return strings.Join(all, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(all[:most], ", "), len(all)-most)
}

// firstVerb finds the verb in a command line that is not to be parsed.
func firstVerb(args []string) *verb {
	for _, a := range args {
		if v := findVerb(a); v != nil {
			return v
		}
	}
	return nil
}

// readInis reads the configuration files, the most particular first: what one sets
// the next ones do not.
func (o *options) readInis(table []*option, v *verb, getenv func(string) string) error {
	files := slices.Clone(o.configFiles)
	slices.Reverse(files)
	for _, f := range defaultInis(getenv) {
		if _, err := os.Stat(f); err == nil { // one in a HOME that is another's does not count
			files = append(files, f)
		}
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			return misuse("options cannot be read from %s: %w; check --config, or the permissions of that file", f, errors.Unwrap(err))
		}
		if err := o.readIni(f, data, table, v); err != nil {
			return err
		}
	}
	return nil
}

func defaultInis(getenv func(string) string) []string {
	var files []string
	if dir := getenv("XDG_CONFIG_HOME"); dir != "" {
		files = append(files, filepath.Join(dir, "letsencrypt", "cli.ini"))
	} else if home := getenv("HOME"); home != "" {
		files = append(files, filepath.Join(home, ".config", "letsencrypt", "cli.ini"))
	}
	return append(files, filepath.Join(settings.DefaultConfigDir, "cli.ini"))
}
