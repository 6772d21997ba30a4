package configobj

import (
	"regexp"
	"strings"
	"sync"
	"unicode"
)

// space is what Python's \s matches in text.
const space = `[\s\v\x1c-\x1f\x{85}\p{Z}]`

// The grammar, as ConfigObj's own documentation describes it. Compiled at first
// use: most keywords and values take the short ways of keyword and parseValue.
var grammar = sync.OnceValue(func() (g struct{ section, keyword, value, item *regexp.Regexp }) {
	re := func(s string) *regexp.Regexp { return regexp.MustCompile(strings.ReplaceAll(s, `\s`, space)) }
	g.section = re(`^(\s*)((?:\[\s*)+)((?:"\s*[^\v\x1c-\x1f\x{85}\p{Z}\t\n\f\r ].*?\s*")|(?:'\s*[^\v\x1c-\x1f\x{85}\p{Z}\t\n\f\r ].*?\s*')|(?:[^'"\v\x1c-\x1f\x{85}\p{Z}\t\n\f\r ].*?))((?:\s*\])+)\s*(#.*)?$`)
	g.keyword = re(`^(\s*)((?:".*?")|(?:'.*?')|(?:[^'"=].*?))\s*=\s*(.*)$`)
	g.value = re(`^((?:(?:(?:".*?")|(?:'.*?')|(?:[^'",#][^,#]*?))\s*,\s*)*)((?:".*?")|(?:'.*?')|(?:[^'",#\v\x1c-\x1f\x{85}\p{Z}\t\n\f\r ][^,]*?))?\s*(#.*)?$`)
	g.item = re(`((?:".*?")|(?:'.*?')|(?:[^'",#]?.*?))\s*,\s*`)
	return g
})

type parser struct {
	file    *File
	lines   []string // with their endings
	at      int      // the line being read
	section *Section
	lead    []string // comments and blank lines since the last entry
}

func isSpace(r rune) bool { return unicode.IsSpace(r) || r >= 0x1c && r <= 0x1f }

func (p *parser) fail(why string) error { return &SyntaxError{p.at + 1, why} }

func (p *parser) run() error {
	for ; p.at < len(p.lines); p.at++ {
		line := strings.TrimRight(p.lines[p.at], "\r\n")
		bare := strings.TrimFunc(line, isSpace)
		var err error
		switch {
		case bare == "" || bare[0] == '#':
			p.lead = append(p.lead, p.lines[p.at])
			continue
		case bare[0] == '[':
			var done bool
			if done, err = p.marker(line); err == nil && !done {
				err = p.keyword(line)
			}
		default:
			err = p.keyword(line)
		}
		if err != nil {
			return err
		}
		p.lead = nil
	}
	p.file.tail = p.lead
	return nil
}

// marker reads a section marker; a line that is none may still be a keyword.
func (p *parser) marker(line string) (bool, error) {
	m := grammar().section.FindStringSubmatch(line)
	if m == nil {
		return false, nil
	}
	p.noteIndent(m[1])
	depth := strings.Count(m[2], "[")
	if depth != strings.Count(m[4], "]") {
		return false, p.fail("a section marker opens and closes with different numbers of brackets")
	}
	if depth > p.section.depth+1 {
		return false, p.fail("a section is nested too deeply")
	}
	parent := p.section
	for parent.depth >= depth {
		parent = p.parentOf(parent)
	}
	name := unquote(m[3])
	if parent.Has(name) || parent.Section(name) != nil {
		return false, p.fail("the section " + name + " stands twice")
	}
	s := &Section{file: p.file, name: name, depth: depth, lead: p.lead, marker: p.lines[p.at]}
	parent.sections = append(parent.sections, s)
	p.section = s
	return true, nil
}

// parentOf finds the section above s: the last one of each level is the open one.
func (p *parser) parentOf(s *Section) *Section {
	at := &p.file.Section
	for at.depth < s.depth-1 {
		at = at.sections[len(at.sections)-1]
	}
	return at
}

func (p *parser) noteIndent(indent string) {
	if p.file.indent == "" {
		p.file.indent = indent
	}
}

func (p *parser) keyword(line string) error {
	indent, key, text, ok := splitKeyword(line)
	if !ok {
		return p.fail("neither a section nor a keyword with a value")
	}
	p.noteIndent(indent)
	e := &entry{key: unquote(key), indent: indent, lead: p.lead, raw: p.lines[p.at : p.at+1]}
	if strings.HasPrefix(text, `"""`) || strings.HasPrefix(text, `'''`) {
		if ok = p.triple(e, text); !ok {
			return p.fail("a value in triple quotes does not end")
		}
	} else if e.value, e.comment, ok = parseValue(text); !ok {
		return p.fail("the value of " + e.key + " has unbalanced quotes or an empty list element")
	}
	if p.section.Has(e.key) || p.section.Section(e.key) != nil {
		return p.fail("the keyword " + e.key + " stands twice")
	}
	p.section.keywords = append(p.section.keywords, e)
	return nil
}

// splitKeyword takes a line apart at its first equals sign.
func splitKeyword(line string) (indent, key, text string, ok bool) {
	body := strings.TrimLeftFunc(line, isSpace)
	if k, v, found := strings.Cut(body, "="); found && k != "" && k[0] != '\'' && k[0] != '"' {
		return line[:len(line)-len(body)], strings.TrimRightFunc(k, isSpace), strings.TrimLeftFunc(v, isSpace), true
	}
	m := grammar().keyword.FindStringSubmatch(line)
	if m == nil {
		return "", "", "", false
	}
	return m[1], m[2], m[3], true
}

// parseValue reads a value or a list of them, and the comment behind it.
func parseValue(text string) (v value, comment string, ok bool) {
	if !strings.ContainsAny(text, "'\",#") {
		return value{list: []string{strings.TrimRightFunc(text, isSpace)}}, "", true
	}
	if rest, found := strings.CutPrefix(text, ","); found {
		rest = strings.TrimFunc(rest, isSpace)
		return value{isList: true}, rest, rest == "" || rest[0] == '#'
	}
	m := grammar().value.FindStringSubmatchIndex(text)
	if m == nil {
		return value{}, "", false
	}
	if m[6] >= 0 {
		comment = text[m[6]:m[7]]
	}
	items := text[m[2]:m[3]]
	if items == "" {
		single := ""
		if m[4] >= 0 {
			single = unquote(text[m[4]:m[5]])
		}
		return value{list: []string{single}}, comment, true
	}
	v = value{isList: true}
	for _, item := range grammar().item.FindAllStringSubmatch(items, -1) {
		if item[1] == "" {
			return value{}, "", false
		}
		v.list = append(v.list, unquote(item[1]))
	}
	if m[4] >= 0 {
		v.list = append(v.list, unquote(text[m[4]:m[5]]))
	}
	return v, comment, true
}

// triple reads a value in triple quotes, which may go on over several lines.
func (p *parser) triple(e *entry, text string) bool {
	q, start := text[:3], p.at
	body, comment, ok := closing(text[3:], q)
	if !ok && strings.Contains(text[3:], q) {
		return false
	}
	for !ok {
		if p.at+1 >= len(p.lines) {
			p.at = start
			return false
		}
		p.at++
		line := strings.TrimRight(p.lines[p.at], "\r\n")
		var more string
		more, comment, ok = closing(line, q)
		if !ok && strings.Contains(line, q) {
			return false
		}
		body += "\n" + more
	}
	e.value = value{list: []string{body}}
	e.comment = comment
	e.raw = p.lines[start : p.at+1]
	return true
}

// closing splits a line at the first closing quotes q that have nothing but a
// comment behind them. Without such quotes the whole line is body.
func closing(line, q string) (body, comment string, ok bool) {
	for from := 0; ; {
		i := strings.Index(line[from:], q)
		if i < 0 {
			return line, "", false
		}
		rest := strings.TrimLeftFunc(line[from+i+len(q):], isSpace)
		if rest == "" || rest[0] == '#' {
			return line[:from+i], rest, true
		}
		from += i + 1
	}
}

func unquote(s string) string {
	if n := len(s); n > 1 && s[0] == s[n-1] && (s[0] == '"' || s[0] == '\'') {
		return s[1 : n-1]
	}
	return s
}
