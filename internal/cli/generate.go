package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"vidimus/internal/roff"
)

// writer finds what is made from the table of options alone: completion for a shell,
// or the manual page.
func writer(args []string) (func(io.Writer, string) error, error) {
	if args[0] == "man" && len(args) == 1 {
		return manPage, nil
	}
	shells := map[string]func(io.Writer, string) error{"bash": completeBash, "zsh": completeZsh, "fish": completeFish}
	if args[0] == "completion" && len(args) == 2 && shells[args[1]] != nil {
		return shells[args[1]], nil
	}
	return nil, misuse("say for which shell: completion bash, completion zsh or completion fish; 'man' takes nothing")
}

// shown lists the verbs and the options that help shows.
func shown() (names []string, table []*option) {
	for _, v := range verbs() {
		names = append(names, v.name)
	}
	for _, o := range newOptions().table() {
		if o.group != hidden {
			table = append(table, o)
		}
	}
	return names, table
}

// choices are the values that an option can have; nil when they can't be listed.
func (o *option) choices() []string {
	switch o.name() {
	case "key-type":
		return []string{"rsa", "ecdsa"}
	case "elliptic-curve":
		return []string{"secp256r1", "secp384r1", "secp521r1"}
	case "preferred-challenges":
		return []string{"http", "dns", "dns-account-01", "dns-persist-01"}
	case "eab-hmac-alg":
		return []string{"HS256", "HS384", "HS512"}
	case "authenticator":
		return authenticatorNames()
	case "reason":
		var all []string
		for r := range reasons {
			all = append(all, r)
		}
		slices.Sort(all)
		return all
	}
	return nil
}

// certNames is shell that lists the certificates that there are.
const certNames = `ls "${dir:-/etc/letsencrypt}/renewal" 2>/dev/null | sed -n 's/\.conf$//p'`

func completeBash(w io.Writer, name string) error {
	names, table := shown()
	var longs, files, dirs []string
	var cases strings.Builder
	for _, o := range table {
		for _, n := range strings.Fields(o.names) {
			longs = append(longs, "--"+n)
		}
		forms := forms(o)
		switch {
		case o.choices() != nil:
			fmt.Fprintf(&cases, "\t%s) COMPREPLY=($(compgen -W '%s' -- \"$cur\")); return ;;\n", strings.Join(forms, "|"), strings.Join(o.choices(), " "))
		case o.arg == "FILE" || o.arg == "COMMAND":
			files = append(files, forms...)
		case o.arg == "DIR":
			dirs = append(dirs, forms...)
		}
	}
	_, err := fmt.Fprintf(w, `# bash completion for %[1]s: put it into /etc/bash_completion.d/, or source it
_%[1]s() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} dir i
	if [ "$cur" = = ]; then cur=; prev=${COMP_WORDS[COMP_CWORD-1]}; elif [ "$prev" = = ]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi
	for ((i = 1; i < COMP_CWORD; i++)); do [ "${COMP_WORDS[i]}" = --config-dir ] && dir=${COMP_WORDS[i+1]}; done
	case $prev in
	--cert-name) COMPREPLY=($(compgen -W "$(%[2]s)" -- "$cur")); return ;;
	%[3]s) COMPREPLY=($(compgen -f -- "$cur")); return ;;
	%[4]s) COMPREPLY=($(compgen -d -- "$cur")); return ;;
%[5]s	-h|--help|help) COMPREPLY=($(compgen -W '%[6]s' -- "$cur")); return ;;
	esac
	case $cur in
	-*) COMPREPLY=($(compgen -W '%[7]s' -- "$cur")) ;;
	*) COMPREPLY=($(compgen -W '%[8]s' -- "$cur")) ;;
	esac
}
complete -o filenames -F _%[1]s %[1]s
`, name, certNames, strings.Join(files, "|"), strings.Join(dirs, "|"), cases.String(), strings.Join(append(slices.Clone(names), "all", "automation", "security", "testing", "paths"), " "),
		strings.Join(append(longs, "--help", "--version"), " "), strings.Join(names, " "))
	return err
}

// forms lists an option as it is written.
func forms(o *option) []string {
	var all []string
	if o.short != "" {
		all = append(all, "-"+o.short)
	}
	for _, n := range strings.Fields(o.names) {
		all = append(all, "--"+n)
	}
	return all
}

var forZsh = strings.NewReplacer("'", "'\\''", "[", "\\[", "]", "\\]", ":", "\\:")

func completeZsh(w io.Writer, name string) error {
	_, table := shown()
	fmt.Fprintf(w, "#compdef %[1]s\n# zsh completion for %[1]s: put it into a directory of $fpath as _%[1]s\n_%[1]s_names() { local dir; compadd -- $(%[2]s) }\nlocal -a commands=(\n", name, certNames)
	for _, v := range verbs() {
		fmt.Fprintf(w, "\t'%s:%s'\n", v.name, forZsh.Replace(v.short))
	}
	fmt.Fprint(w, ")\n_arguments -s \\\n")
	for _, o := range table {
		action := ""
		switch {
		case o.arg == "":
		case o.choices() != nil:
			action = ":" + o.arg + ":(" + strings.Join(o.choices(), " ") + ")"
		case o.arg == "FILE" || o.arg == "COMMAND":
			action = ":" + o.arg + ":_files"
		case o.arg == "DIR":
			action = ":" + o.arg + ":_directories"
		case o.arg == "CERTNAME":
			action = ":" + o.arg + ":_" + name + "_names"
		default:
			action = ":" + o.arg + ": "
		}
		for _, form := range forms(o) {
			if strings.HasPrefix(form, "--") && o.arg != "" {
				form += "="
			}
			fmt.Fprintf(w, "\t'*%s[%s]%s' \\\n", form, forZsh.Replace(o.usage), action)
		}
	}
	_, err := fmt.Fprint(w, "\t'(- *)'{-h,--help}'[help]' '(- *)--version[the version]' \\\n\t'1: :{_describe command commands}'\n")
	return err
}

func completeFish(w io.Writer, name string) error {
	_, table := shown()
	quote := strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace
	fmt.Fprintf(w, "# fish completion for %[1]s: put it into ~/.config/fish/completions/%[1]s.fish\ncomplete -c %[1]s -f\n", name)
	for _, v := range verbs() {
		fmt.Fprintf(w, "complete -c %s -n __fish_use_subcommand -a %s -d '%s'\n", name, v.name, quote(v.short))
	}
	for _, o := range table {
		line := "complete -c " + name
		if o.short != "" {
			line += " -s " + o.short
		}
		for _, n := range strings.Fields(o.names) {
			line += " -l " + n
		}
		switch {
		case o.arg == "":
		case o.choices() != nil:
			line += " -x -a '" + strings.Join(o.choices(), " ") + "'"
		case o.arg == "FILE" || o.arg == "DIR" || o.arg == "COMMAND":
			line += " -r -F"
		case o.arg == "CERTNAME":
			line += ` -x -a "(` + strings.NewReplacer(`"${dir:-/etc/letsencrypt}/renewal"`, "/etc/letsencrypt/renewal", `\`, `\\`, "$/", `\$/`).Replace(certNames) + `)"`
		default:
			line += " -x"
		}
		fmt.Fprintf(w, "%s -d '%s'\n", line, quote(o.usage))
	}
	_, err := fmt.Fprintf(w, "complete -c %s -s h -l help -d 'help'\n", name)
	return err
}

// manPage writes the manual page, for man(1).
func manPage(w io.Writer, name string) error {
	p := func(format string, args ...any) {
		for i, a := range args {
			args[i] = roff.Escape(fmt.Sprint(a))
		}
		fmt.Fprintf(w, format, args...)
	}
	p(".TH %s 8 \"\" Vidimus\n.SH NAME\n%s \\- get, renew and revoke TLS certificates from any ACME CA\n.SH SYNOPSIS\n", strings.ToUpper(name), name)
	for _, v := range verbs() {
		p(".B %s\n%s\n.br\n", name, v.usage)
	}
	p(".SH DESCRIPTION\n%s\n.SH COMMANDS\n", "Works on Certbot's directory and takes Certbot's command line: either program can take over from the other at any time. "+
		"Options stand before or after the command, may be shortened as long as they are unambiguous, and may be set in cli.ini, one a line, without the dashes.")
	for _, v := range verbs() {
		p(".TP\n.B %s\n%s%s.\n", v.name, strings.ToUpper(v.short[:1]), v.short[1:])
	}
	p(".SH OPTIONS\n")
	_, table := shown()
	for _, g := range groups() {
		p(".SS %s\n", title(g))
		for _, o := range table {
			if o.group == g {
				p(".TP\n.B %s\n%s\n", strings.TrimSpace(strings.Join(forms(o), ", ")+" "+o.arg), o.usage)
			}
		}
	}
	p(`.SH ENVIRONMENT
.TP
.B REQUESTS_CA_BUNDLE
%s
.TP
.B https_proxy, http_proxy, no_proxy
%s
.TP
.B XDG_CONFIG_HOME, HOME
%s
.SH FILES
.TP
.I /etc/letsencrypt/live/CERTNAME/
%s
.TP
.I /etc/letsencrypt/renewal/CERTNAME.conf
%s
.TP
.I /etc/letsencrypt/renewal\-hooks/{pre,deploy,post}/
%s
.TP
.I /etc/letsencrypt/cli.ini, ~/.config/letsencrypt/cli.ini
%s
.TP
.I /var/log/letsencrypt/letsencrypt.log
%s
.SH EXIT STATUS
%s
`, "A file or directory of root certificates that takes the place of the system's, to trust a CA of your own.",
		"The proxy to reach the CA through, and for which hosts not. No other option is taken from the environment, as in Certbot.",
		"Where the user's cli.ini is.", "privkey.pem, fullchain.pem, chain.pem and cert.pem in use; links to the newest version in archive/.",
		"How the certificate is renewed.", "Programs that run around each certificate, in alphabetical order.", "Options that hold for all runs.", "The log of the last run.",
		"0 done, 1 failed, 2 misused.")
	return nil
}
