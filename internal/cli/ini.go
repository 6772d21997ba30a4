package cli

import (
	"fmt"
	"slices"
	"strings"
)

// iniLine is one setting of a cli.ini.
type iniLine struct {
	key, value string
	hasValue   bool
	at         int // line, from 1
}

// parseIni reads the format that Certbot's cli.ini has: "key = value", "key: value"
// or "key value", a key alone for what needs no value, comments with # or ;,
// [sections] that mean nothing.
func parseIni(data []byte) ([]iniLine, error) {
	var lines []iniLine
	for i, text := range strings.Split(string(data), "\n") {
		text = strings.TrimSpace(strings.TrimPrefix(text, "\ufeff"))
		if text == "" || strings.HasPrefix(text, "---") || strings.ContainsRune("#;[", rune(text[0])) {
			continue
		}
		end := strings.IndexAny(text, ":=; \t#")
		if end < 0 {
			end = len(text)
		}
		l := iniLine{key: strings.TrimPrefix(text[:end], "--"), at: i + 1}
		if l.key == "" {
			return nil, fmt.Errorf("%d: there is no key in front of %q", l.at, text)
		}
		rest := strings.TrimSpace(text[end:])
		if rest != "" && (rest[0] == '=' || rest[0] == ':') {
			l.hasValue = true
			rest = strings.TrimSpace(rest[1:])
		}
		l.value = iniValue(rest)
		l.hasValue = l.hasValue || l.value != ""
		lines = append(lines, l)
	}
	return lines, nil
}

// iniValue takes off quotes, or a comment that stands apart.
func iniValue(text string) string {
	if len(text) > 0 && (text[0] == '"' || text[0] == '\'') {
		if end := strings.IndexByte(text[1:], text[0]); end >= 0 {
			rest := strings.TrimSpace(text[end+2:])
			if rest == "" || rest[0] == '#' || rest[0] == ';' {
				return text[1 : end+1]
			}
		}
	}
	if text != "" && (text[0] == '#' || text[0] == ';') {
		return ""
	}
	for i := 1; i < len(text); i++ {
		if (text[i] == '#' || text[i] == ';') && (text[i-1] == ' ' || text[i-1] == '\t') {
			return strings.TrimSpace(text[:i])
		}
	}
	return text
}

// values are what a line gives its option; "[a, b]" is a list.
func (l iniLine) values() []string {
	inner, ok := strings.CutPrefix(l.value, "[")
	if inner, end := strings.CutSuffix(inner, "]"); ok && end {
		var all []string
		for v := range strings.SplitSeq(inner, ",") {
			all = append(all, strings.Trim(strings.TrimSpace(v), `'"`))
		}
		return all
	}
	return []string{l.value}
}

// readIni sets what a file says of options that nobody has set before.
func (o *options) readIni(file string, data []byte, table []*option, v *verb) error {
	lines, err := parseIni(data)
	if err != nil {
		return misuse("%s:%w", file, err)
	}
	taken := map[*option]bool{} // set before this file
	for _, opt := range table {
		taken[opt] = o.Chosen(opt.dest)
	}
	for _, l := range lines {
		opt := findOption(table, l.key)
		if opt == nil || opt.name() == "config" {
			return misuse("%s:%d: there is no option %q", file, l.at, l.key)
		}
		if taken[opt] || opt.dest == "domains" && v != nil && v.name == "renew" {
			continue
		}
		if err := o.iniSet(opt, l); err != nil {
			return misuse("%s:%d: %s: %w", file, l.at, l.key, err)
		}
	}
	return nil
}

func (o *options) iniSet(opt *option, l iniLine) error {
	values := l.values()
	if opt.arg == "" {
		switch strings.ToLower(l.value) {
		case "", "true", "yes", "1":
			values = []string{"true"}
		case "false", "no", "0":
			return nil
		default:
			return fmt.Errorf("%q is neither true nor false", l.value)
		}
	} else if !l.hasValue {
		return fmt.Errorf("it needs a value")
	}
	for _, text := range values {
		if err := (&value{opt, o}).Set(text); err != nil {
			return err
		}
	}
	return nil
}

func findOption(table []*option, name string) *option {
	for _, o := range table {
		if slices.Contains(strings.Fields(o.names), name) {
			return o
		}
	}
	return nil
}
