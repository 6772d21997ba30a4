// Package configobj reads and changes files in the dialect of Python's ConfigObj,
// which Certbot writes renewal/NAME.conf in: keyword = value lines, comma-separated
// lists, quotes, comments, [sections] and [[subsections]].
//
// A [File] keeps every byte of what it read. Setting a value rewrites the lines of
// that value only, so comments, blank lines, order, and keywords that this program
// does not know all survive, and a file that nobody changed is written back as it
// was. What ConfigObj would write for a value is what is written here.
package configobj

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// File is a parsed file: the keywords and sections at its top.
type File struct {
	Section
	bom     bool
	newline string // the first line ending found; "\n" when there was none
	indent  string // of the first indented line: one level of depth
	tail    []string
}

// Section is a part of a file: keywords first, then subsections.
type Section struct {
	file     *File
	name     string
	depth    int
	keywords []*entry
	sections []*Section
	lead     []string // comments and blank lines above the marker
	marker   string   // the raw marker line
}

// entry is one keyword with its value and the raw lines they came from.
type entry struct {
	key     string
	value   value
	lead    []string // comments and blank lines above
	raw     []string // with line endings
	indent  string
	comment string // the comment behind the value, with its #
}

type value struct {
	isList bool
	list   []string // exactly one when !isList
}

// A SyntaxError says which line of a file is not in the dialect.
type SyntaxError struct {
	Line int // counted from 1
	Why  string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Why) }

// New makes an empty file.
func New() *File {
	f := &File{newline: "\n"}
	f.file = f
	return f
}

// Parse reads a file. The error is a [*SyntaxError].
func Parse(data []byte) (*File, error) {
	f := New()
	data, f.bom = bytes.CutPrefix(data, []byte("\xef\xbb\xbf"))
	if !utf8.Valid(data) {
		return nil, &SyntaxError{1, "the file is not UTF-8"}
	}
	p := parser{file: f, lines: strings.SplitAfter(string(data), "\n"), section: &f.Section}
	if n := len(p.lines); p.lines[n-1] == "" {
		p.lines = p.lines[:n-1]
	}
	if len(p.lines) > 0 && strings.HasSuffix(p.lines[0], "\r\n") {
		f.newline = "\r\n"
	}
	if err := p.run(); err != nil {
		return nil, err
	}
	return f, nil
}

// Bytes is the file's text.
func (f *File) Bytes() []byte {
	var b bytes.Buffer
	if f.bom {
		b.WriteString("\xef\xbb\xbf")
	}
	open := false // the line above has no ending; it was the last one of the file
	put := func(lines ...string) {
		for _, l := range lines {
			if open {
				b.WriteString(f.newline)
			}
			b.WriteString(l)
			open = !strings.HasSuffix(l, "\n")
		}
	}
	f.Section.write(put)
	put(f.tail...)
	return b.Bytes()
}

func (s *Section) write(put func(...string)) {
	if s.marker != "" {
		put(s.lead...)
		put(s.marker)
	}
	for _, e := range s.keywords {
		put(e.lead...)
		put(e.raw...)
	}
	for _, sub := range s.sections {
		sub.write(put)
	}
}

// Keys lists the keywords of s, in order, without subsections.
func (s *Section) Keys() []string {
	keys := make([]string, len(s.keywords))
	for i, e := range s.keywords {
		keys[i] = e.key
	}
	return keys
}

func (s *Section) find(key string) *entry {
	for _, e := range s.keywords {
		if e.key == key {
			return e
		}
	}
	return nil
}

// Has tells whether s has the keyword.
func (s *Section) Has(key string) bool { return s != nil && s.find(key) != nil }

// String is the value of key; it is "" when key is missing or its value is a list
// of other than one element.
func (s *Section) String(key string) string {
	if l := s.List(key); len(l) == 1 {
		return l[0]
	}
	return ""
}

// List is the value of key as a list; a plain value is a list of one. It is nil
// when key is missing.
func (s *Section) List(key string) []string {
	if s == nil {
		return nil
	}
	if e := s.find(key); e != nil {
		return append([]string{}, e.value.list...)
	}
	return nil
}

// IsList tells whether the value of key is written as a list.
func (s *Section) IsList(key string) bool {
	if s == nil {
		return false
	}
	e := s.find(key)
	return e != nil && e.value.isList
}

// Section is the subsection called name, or nil.
func (s *Section) Section(name string) *Section {
	if s == nil {
		return nil
	}
	for _, sub := range s.sections {
		if sub.name == name {
			return sub
		}
	}
	return nil
}

// Sections lists the names of the subsections, in order.
func (s *Section) Sections() []string {
	names := make([]string, len(s.sections))
	for i, sub := range s.sections {
		names[i] = sub.name
	}
	return names
}

// Set gives key a plain value; a new keyword goes behind the last one. Nothing
// changes when it has that value already. It fails for what ConfigObj cannot
// quote, such as a value with a line break and both kinds of triple quotes.
func (s *Section) Set(key, val string) error {
	return s.set(key, value{list: []string{val}})
}

// SetList gives key a list of values, even if it is a list of one or none.
func (s *Section) SetList(key string, vals []string) error {
	return s.set(key, value{isList: true, list: append([]string{}, vals...)})
}

func (v value) equal(w value) bool {
	if v.isList != w.isList || len(v.list) != len(w.list) {
		return false
	}
	for i := range v.list {
		if v.list[i] != w.list[i] {
			return false
		}
	}
	return true
}

func (s *Section) set(key string, v value) error {
	old := s.find(key)
	if old != nil && old.value.equal(v) {
		return nil
	}
	quotedKey, err := quote(key, false)
	if err != nil {
		return err
	}
	text, err := v.quote()
	if err != nil {
		return fmt.Errorf("the value of %s: %w", key, err)
	}
	if old == nil && s.Section(key) != nil {
		return fmt.Errorf("%s is a section, not a keyword", key)
	}
	e := old
	if e == nil {
		e = &entry{key: key, indent: strings.Repeat(s.file.indent, s.depth)}
	}
	line := e.indent + quotedKey + " = " + text
	if !readsBack(line, key, v) {
		return fmt.Errorf("the value of %s: %w", key, errQuote)
	}
	if old == nil {
		s.keywords = append(s.keywords, e)
		s.adoptTail(e)
	}
	e.value = v
	if e.comment != "" {
		line += " " + e.comment
	}
	nl := s.file.newline
	e.raw = []string{strings.ReplaceAll(line, "\n", nl) + nl}
	return nil
}

// readsBack guards against values that ConfigObj's quoting rules cannot hold.
func readsBack(line, key string, v value) bool {
	f, err := Parse([]byte(line))
	return err == nil && f.find(key) != nil && f.find(key).value.equal(v)
}

// adoptTail puts what stood alone in a file, such as an initial comment, above the
// first keyword of that file.
func (s *Section) adoptTail(e *entry) {
	f := s.file
	if s == &f.Section && len(s.keywords) == 1 && len(s.sections) == 0 {
		e.lead, f.tail = f.tail, nil
	}
}

// AddSection makes an empty subsection behind the others, with comment lines above
// it: "" is a blank line, other text gets "# " in front. The one that exists is
// returned as it is.
func (s *Section) AddSection(name string, comments ...string) (*Section, error) {
	if sub := s.Section(name); sub != nil {
		return sub, nil
	}
	if s.Has(name) {
		return nil, fmt.Errorf("%s is a keyword, not a section", name)
	}
	quoted, err := quote(name, false)
	if err != nil {
		return nil, err
	}
	depth := s.depth + 1
	indent, nl := strings.Repeat(s.file.indent, depth), s.file.newline
	sub := &Section{file: s.file, name: name, depth: depth}
	for _, c := range comments {
		if c == "" {
			sub.lead = append(sub.lead, nl)
		} else {
			sub.lead = append(sub.lead, indent+"# "+c+nl)
		}
	}
	sub.marker = indent + strings.Repeat("[", depth) + quoted + strings.Repeat("]", depth) + nl
	s.sections = append(s.sections, sub)
	return sub, nil
}

// Comment puts a comment line at the very top of a file that is still empty.
func (f *File) Comment(text string) {
	f.tail = append(f.tail, "# "+text+f.newline)
}

// Delete removes the keyword or subsection with the comments above it.
func (s *Section) Delete(key string) {
	for i, e := range s.keywords {
		if e.key == key {
			s.keywords = append(s.keywords[:i:i], s.keywords[i+1:]...)
			return
		}
	}
	for i, sub := range s.sections {
		if sub.name == key {
			s.sections = append(s.sections[:i:i], s.sections[i+1:]...)
			return
		}
	}
}

var errQuote = errors.New("no quotes can hold it")

func (v value) quote() (string, error) {
	if !v.isList {
		return quote(v.list[0], true)
	}
	parts := make([]string, len(v.list))
	for i, item := range v.list {
		var err error
		if parts[i], err = quote(item, false); err != nil {
			return "", err
		}
	}
	if len(parts) < 2 {
		return strings.Join(parts, "") + ",", nil
	}
	return strings.Join(parts, ", "), nil
}

// quote writes a value as ConfigObj does: bare where that reads back the same,
// else in double quotes, single quotes when it has double ones, and triple quotes
// when it has both or a line break; elements of a list cannot have those.
func quote(s string, multiline bool) (string, error) {
	if s == "" {
		return `""`, nil
	}
	if strings.ContainsAny(s, "\x00\r") {
		return "", errQuote
	}
	single, double := strings.Contains(s, "'"), strings.Contains(s, `"`)
	if multiline && (single && double || strings.Contains(s, "\n")) {
		switch {
		case !strings.Contains(s, `'''`):
			return `'''` + s + `'''`, nil
		case !strings.Contains(s, `"""`):
			return `"""` + s + `"""`, nil
		}
		return "", errQuote
	}
	if strings.Contains(s, "\n") {
		return "", errQuote
	}
	const wspacePlus = " \r\n\v\t'\""
	bare := !strings.ContainsAny(s[:1], wspacePlus) && !strings.ContainsAny(s[len(s)-1:], wspacePlus) &&
		!strings.ContainsAny(s, ",#")
	switch {
	case bare:
		return s, nil
	case single && double:
		return "", errQuote
	case double:
		return "'" + s + "'", nil
	}
	return `"` + s + `"`, nil
}
