package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"vidimus/internal/authenticator/dns"
)

// groups in the order of the help; those of plugins follow control.
func groups() []string {
	all := []string{general, certs, control}
	for _, p := range dns.Plugins() {
		all = append(all, p.Name)
	}
	return append(all, accounts, keys, hooks, trials, revoking, paths)
}

// topics are Certbot's words for what to have help about, beside verbs and plugins,
// with the groups that they mean here.
func topics() map[string][]string {
	plugins := []string{control}
	for _, p := range dns.Plugins() {
		plugins = append(plugins, p.Name)
	}
	return map[string][]string{
		"automation": {general, certs, hooks}, "security": {keys, certs}, "manage": {certs, revoking}, "plugins": plugins,
		"standalone": {control}, "webroot": {control}, "manual": {control},
	}
}

var listings = []string{"command", "commands", "subcommand", "subcommands", "verbs"}

func isTopic(name string) bool {
	_, ok := topics()[name]
	return ok || name == "all" || findVerb(name) != nil || slices.Contains(groups(), name) || slices.Contains(listings, name)
}

func verbNames() string {
	var names []string
	for _, v := range verbs() {
		names = append(names, v.name)
	}
	return strings.Join(names, ", ")
}

// help prints what the program, a verb or a group of options is for.
func help(w io.Writer, name, topic string) error {
	if topic == "" {
		overview(w, name)
		return nil
	}
	if slices.Contains(listings, topic) {
		listVerbs(w, verbs())
		return nil
	}
	if !isTopic(topic) {
		return misuse("there is no help about %q; there is: all, %s, %s", topic, verbNames(), strings.Join(groups(), ", "))
	}
	show := groups()
	if v := findVerb(topic); v != nil {
		fmt.Fprintf(w, "usage: %s %s\n\n%s%s.\n", name, v.usage, strings.ToUpper(v.short[:1]), v.short[1:])
		show = slices.Concat(v.groups, []string{general, paths})
		if topic == "plugins" {
			show = topics()[topic]
		}
	} else if also, ok := topics()[topic]; ok {
		show = also
	} else if topic != "all" {
		show = []string{topic}
	} else {
		overview(w, name)
	}
	table := newOptions().table()
	for _, g := range show {
		fmt.Fprintf(w, "\n%s:\n", title(g))
		for _, o := range table {
			if o.group == g {
				printOption(w, o)
			}
		}
	}
	return nil
}

func title(group string) string {
	switch {
	case strings.HasPrefix(group, "dns"):
		return group
	case group == control:
		return "Proof of control"
	}
	return strings.ToUpper(group[:1]) + group[1:]
}

func overview(w io.Writer, name string) {
	fmt.Fprintf(w, "usage: %s COMMAND [options]\n\nGets, renews and revokes TLS certificates from any ACME CA.\nWorks on Certbot's directory and takes Certbot's command line.\n\nCommands:\n", name)
	listVerbs(w, slices.DeleteFunc(verbs(), func(v *verb) bool { return v.name != "run" && v.installs() }))
	fmt.Fprintf(w, `
A first certificate, where nothing listens on port 80:
  %[1]s certonly --standalone -d www.example.org --agree-tos -m you@example.org
beside a web server that serves /var/www, which is told to use each new one:
  %[1]s certonly --webroot -w /var/www -d www.example.org --deploy-hook 'systemctl reload nginx'
for a wildcard, by DNS:
  %[1]s certonly --dns-rfc2136 --dns-rfc2136-credentials /etc/rfc2136.ini -d '*.example.org'
Will it work? Try without using up anything:
  %[1]s certonly --dry-run --webroot -w /var/www -d www.example.org
And from then on, twice a day:
  %[1]s renew -q

Another CA than Let's Encrypt: --server URL, perhaps with --eab-kid and --eab-hmac-key-file.
More: %[1]s --help COMMAND, %[1]s --help TOPIC, %[1]s --help all, %[1]s --version
Topics: %[2]s
Shell completion: %[1]s completion bash, zsh or fish. The manual: %[1]s man
`, name, strings.Join(wrap("automation, security, plugins, "+strings.Join([]string{general, certs, control, accounts, keys, hooks, trials, revoking, paths}, ", ")+" and the name of a plugin, such as dns-rfc2136", 68), "\n        "))
}

func listVerbs(w io.Writer, all []*verb) {
	for _, v := range all {
		fmt.Fprintf(w, "  %-15s %s\n", v.name, strings.Join(wrap(v.short, 62), "\n"+strings.Repeat(" ", 18)))
	}
}

func printOption(w io.Writer, o *option) {
	var forms []string
	if o.short != "" {
		forms = append(forms, "-"+o.short)
	}
	for _, n := range strings.Fields(o.names) {
		forms = append(forms, "--"+n)
	}
	head := "  " + strings.Join(forms, ", ")
	if o.arg != "" {
		head += " " + o.arg
	}
	const column = 30
	if len(head) >= column {
		fmt.Fprintln(w, head)
		head = ""
	}
	fmt.Fprintf(w, "%-*s %s\n", column, head, strings.Join(wrap(o.usage, 78-column), "\n"+strings.Repeat(" ", column+1)))
}

func wrap(text string, width int) (lines []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
