package cli

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"vidimus/internal/settings"
)

// options is a parsed command line, with cli.ini where it said nothing.
type options struct {
	*settings.Settings

	emails            []string
	withoutEmail      bool
	agreeTOS          bool
	eabKID            string
	eabKey            string // secret
	eabKeyFile        string
	eabAlg            string
	certPath          string
	keyPath           string
	chainPath         string
	fullchainPath     string
	csrFile           string
	reason            int
	deleteAfterRevoke *bool
	noHookValidation  bool
	noRandomSleep     bool
	preconfigured     bool
	verbose           int
	maxLogBackups     int
	timeout           time.Duration
	json              bool
	configFiles       []string
	parallel          int // orders at the same time at one CA
	nonInteractive    bool
	forceInteractive  bool
	strictPermissions bool
	userAgentComment  string

	keep           bool // a certificate for the same names, without asking
	duplicate      bool
	newDomains     bool // replace the names of a lineage without asking
	staging        bool
	debugChallenge bool

	authenticators bool // what 'plugins' is to list
	installers     bool
	hsts, autoHSTS bool

	lateRoot bool // the first -w came after a -d
}

// option is one option of the command line and of cli.ini.
type option struct {
	names string // long names, separated by spaces; the first is the one that is shown
	short string
	arg   string // what its value is called; "" is an option without one
	dest  string // Certbot's name for what it sets
	group string // where it is shown
	usage string
	set   func(value string) error
}

func (o *option) name() string { return strings.Fields(o.names)[0] }

// Groups of options, in the order of their help.
const (
	general  = "general"
	certs    = "certificates"
	control  = "control"
	accounts = "accounts"
	keys     = "keys"
	hooks    = "hooks"
	trials   = "testing"
	revoking = "revocation"
	paths    = "paths"
	hidden   = "" // accepted for compatibility
)

func store(into *string) func(string) error {
	return func(v string) error { *into = v; return nil }
}

func flag(into *bool, to bool) func(string) error {
	return func(string) error { *into = to; return nil }
}

func number(into *int, least, most int) func(string) error {
	return func(v string) error {
		n, err := strconv.Atoi(v)
		if err != nil || n < least || n > most {
			return fmt.Errorf("give a number from %d to %d", least, most)
		}
		*into = n
		return nil
	}
}

func oneOf(into *string, choices ...string) func(string) error {
	return func(v string) error {
		if v = strings.ToLower(v); !slices.Contains(choices, v) {
			return fmt.Errorf("choose from %s", strings.Join(choices, ", "))
		}
		*into = v
		return nil
	}
}

func directory(into *string) func(string) error {
	return func(v string) (err error) {
		if v == "" {
			return errors.New("it is empty")
		}
		*into, err = filepath.Abs(v)
		return err
	}
}

func ignore(string) error { return nil }

// table lists all options, with what they set in o, in the order of their help.
func (o *options) table() []*option {
	return slices.Concat(o.certOptions(), o.controlOptions(), o.pluginOptions(), o.accountOptions(), o.keyOptions(), o.hookOptions(),
		o.testOptions(), o.pathOptions(), o.generalOptions(), o.hiddenOptions())
}
