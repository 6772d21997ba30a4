package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// groups in the order of the help.
var groups = []string{general, certs, control, accounts, keys, hooks, revoking, paths}

func isTopic(name string) bool {
	return name == "all" || findVerb(name) != nil || slices.Contains(groups, name)
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
	if !isTopic(topic) {
		return misuse("there is no help about %q; there is: all, %s, %s", topic, verbNames(), strings.Join(groups, ", "))
	}
	show := groups
	if v := findVerb(topic); v != nil {
		fmt.Fprintf(w, "usage: %s %s\n\n%s%s.\n", name, v.usage, strings.ToUpper(v.short[:1]), v.short[1:])
		show = slices.Concat(v.groups, []string{general, paths})
	} else if topic != "all" {
		show = []string{topic}
	} else {
		overview(w, name)
	}
	for _, g := range show {
		fmt.Fprintf(w, "\n%s:\n", strings.ToUpper(g[:1])+g[1:])
		for _, o := range newOptions().table() {
			if o.group == g {
				printOption(w, o)
			}
		}
	}
	return nil
}

func overview(w io.Writer, name string) {
	fmt.Fprintf(w, "usage: %s COMMAND [options]\n\nGets, renews and revokes TLS certificates from any ACME CA.\nWorks on Certbot's directory and takes Certbot's command line.\n\nCommands:\n", name)
	for _, v := range verbs() {
		fmt.Fprintf(w, "  %-14s %s\n", v.name, v.short)
	}
	fmt.Fprintf(w, `
A first certificate:
  %[1]s register --server URL --agree-tos --email you@example.org
  %[1]s certonly --server URL --standalone -d www.example.org --deploy-hook 'systemctl reload nginx'
and from then on, twice a day:
  %[1]s renew -q

More: %[1]s --help COMMAND, %[1]s --help all, %[1]s --version
`, name)
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
