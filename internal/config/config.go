// Package config reads vidimusd.yaml. Reading finds every mistake at once, each with
// its line: unknown keys, values out of range, files that are missing or don't fit
// together.
package config

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Config is the content of vidimusd.yaml. Paths are relative to the file's folder
// until [Read] has made them absolute.
type Config struct {
	Listen     string     `yaml:"listen"`      // HOST:PORT for ACME, over TLS
	ListenHTTP string     `yaml:"listen_http"` // HOST:PORT for CRLs and CA certificates, plain; "" for none
	URL        string     `yaml:"url"`         // https://HOST[:PORT] as clients see Listen
	URLHTTP    string     `yaml:"url_http"`    // http://HOST[:PORT] as clients see ListenHTTP; goes into certificates
	Database   string     `yaml:"database"`    // file of the SQLite database, or postgres:// URL
	TLS        TLS        `yaml:"tls"`
	Profiles   []Profile  `yaml:"profiles"` // shared by the issuers that name them
	Issuers    []Issuer   `yaml:"issuers"`
	Validation Validation `yaml:"validation"`
	Log        Log        `yaml:"log"`
	Portal     *Portal    `yaml:"portal"`  // nil: no pages for people
	Sources    []Source   `yaml:"sources"` // of hosts, people and groups

	BlockedKeys []string `yaml:"blocked_keys"` // files, see weakkey.List
	Operating   `yaml:",inline"`
	Revocation  `yaml:",inline"`
	Cleanup     `yaml:",inline"`

	Dir      string   `yaml:"-"` // the file's folder, absolute
	Warnings Mistakes `yaml:"-"` // what had better not be so
	SHA256   string   `yaml:"-"` // of the file, hexadecimal
	Files    []string `yaml:"-"` // that it names, absolute, in the order of their names; without the database
}

// TLS names the server's own certificate; without one vidimusd issues it itself.
type TLS struct {
	Certificate string `yaml:"certificate"` // PEM file: certificate and chain
	Key         string `yaml:"key"`         // PEM file
}

// Issuer is a local CA with its ACME directories, /acme/NAME and, when open,
// /acme/NAME-open.
type Issuer struct {
	Name           string `yaml:"name"`
	Intermediate   `yaml:",inline"`
	Intermediates  []Intermediate `yaml:"intermediates"`   // in place of the one above; complete has it in both places
	Validity       Duration       `yaml:"validity"`        // of a certificate, 6 to 398 days; default 90d
	Profiles       []Profile      `yaml:"profiles"`        // that orders may name; default none
	DefaultProfile string         `yaml:"default_profile"` // of orders that name none; default the first
	Staging        *Intermediate  `yaml:"staging"`         // the CA of a second issuer, NAME-staging, to try things with
	Open           bool           `yaml:"open"`            // a second directory, without EAB, with challenges
	TermsOfService string         `yaml:"terms_of_service"`
	Website        string         `yaml:"website"`
	Protocol       `yaml:",inline"`
	Lint           `yaml:",inline"`
	stagingOf      string
	CAAIdentities  []string `yaml:"caa_identities"` // domain names of the CA in CAA records; default the host of the URL
	CAACheck       string   `yaml:"caa_check"`      // "open", the default: of names proved by challenge; "always": of those granted to ACME-IDs too; "never"
	Networks       []string `yaml:"networks"`       // besides those of validation, in the open directory
	Challenges     []string `yaml:"challenges"`     // types offered in the open directory; default those of validation
}

// Duration is a time.Duration that may also be written in days, such as "90d".
type Duration time.Duration

// UnmarshalYAML reads "90d", "36h" and the like.
func (d *Duration) UnmarshalYAML(n *yaml.Node) error {
	v, err := parseDuration(n.Value)
	if err != nil {
		return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: %v", n.Line, err)}}
	}
	*d = Duration(v)
	return nil
}

func parseDuration(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n > 0 && n < 100_000 {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	} else if v, err := time.ParseDuration(s); err == nil && v > 0 {
		return v, nil
	}
	return 0, fmt.Errorf(`%q is not a duration; write days as "90d" or hours as "36h"`, s)
}

// Limits and defaults of Issuer.Validity.
const (
	MinValidity     = 6 * 24 * time.Hour
	MaxValidity     = 398 * 24 * time.Hour
	DefaultValidity = 90 * 24 * time.Hour
)

// Mistakes are all that is wrong with a configuration file.
type Mistakes []Mistake

// Mistake is one of them; Line is 0 where none fits.
type Mistake struct {
	Line     int    `json:"line,omitempty"`
	Severity string `json:"severity,omitempty"` // "" for a mistake, "warning" or "note"
	Text     string `json:"text"`
}

// String is the text with its line, and what it is if not a mistake.
func (m Mistake) String() string {
	text := m.Text
	if m.Severity != "" {
		text = m.Severity + ": " + text
	}
	if m.Line > 0 {
		text = fmt.Sprintf("line %d: %s", m.Line, text)
	}
	return text
}

func (m Mistakes) Error() string {
	lines := make([]string, len(m))
	for i, x := range m {
		lines[i] = x.String()
	}
	return strings.Join(lines, "\n")
}

// Read reads the file at path and completes it: defaults are filled in, paths made
// absolute. The error is [Mistakes] when the file can be read but is wrong.
func Read(path string) (*Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	return parse(data, filepath.Dir(abs), info.Mode())
}

// Parse is [Read] for the content of a file in the folder dir.
func Parse(data []byte, dir string) (*Config, error) { return parse(data, dir, 0) }

func parse(data []byte, dir string, mode os.FileMode) (*Config, error) {
	c := &Config{Dir: dir}
	r := &reader{dir: dir, mode: mode}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	switch err := dec.Decode(c); {
	case errors.Is(err, io.EOF): // an empty file: all that is required is missing
	case err != nil && !r.addYAML(err):
		return nil, r.mistakes
	case err == nil && dec.Decode(new(yaml.Node)) != io.EOF:
		r.add("", "the file holds more than one YAML document")
	}
	_ = yaml.Unmarshal(data, &r.doc) // what is wrong with it has been said
	sum := sha256.Sum256(data)
	c.SHA256 = hex.EncodeToString(sum[:])
	c.complete(r)
	slices.Sort(r.files)
	c.Files = slices.DeleteFunc(slices.Compact(r.files), func(f string) bool { return f == c.Database })
	slices.SortStableFunc(r.mistakes, func(a, b Mistake) int { return a.Line - b.Line })
	if len(r.mistakes) > 0 {
		return nil, r.mistakes
	}
	c.Warnings = r.warnings(c, time.Now())
	return c, nil
}

// reader collects mistakes, with the lines of what they are about.
type reader struct {
	dir      string
	mode     os.FileMode // of the file; 0 when there is none
	doc      yaml.Node
	mistakes Mistakes
	files    []string // that were named
}

var (
	yamlLine    = regexp.MustCompile(`^(?:yaml: )?line (\d+): (.*)$`)
	yamlUnknown = regexp.MustCompile(`^field (\S+) not found in type config\.(\w+)$`)
	yamlKind    = regexp.MustCompile("^cannot unmarshal !!\\w+(?: `(.*)`)? into (.*)$")
)

// addYAML takes over what the decoder found; it is false when too little was decoded
// to look further: the file is no YAML, or a mapping in it has a key twice.
func (r *reader) addYAML(err error) (usable bool) {
	var te *yaml.TypeError
	texts := []string{err.Error()}
	if errors.As(err, &te) {
		texts, usable = te.Errors, true
	}
	for _, t := range texts {
		m := Mistake{Text: strings.TrimPrefix(t, "yaml: ")}
		if p := yamlLine.FindStringSubmatch(t); p != nil {
			m.Line, _ = strconv.Atoi(p[1])
			m.Text = p[2]
		}
		if p := yamlUnknown.FindStringSubmatch(m.Text); p != nil {
			m.Text = fmt.Sprintf("unknown key %q", p[1])
		} else if p := yamlKind.FindStringSubmatch(m.Text); p != nil {
			m.Text = wrongKind(p[1], p[2])
		}
		if strings.Contains(m.Text, "already defined at line") {
			usable = false
		}
		r.mistakes = append(r.mistakes, m)
	}
	return usable
}

// wrongKind says what should stand where the decoder found something of another kind,
// which is "" when it is a list or a mapping.
func wrongKind(found, goType string) string {
	want := "keys with values" // of a struct
	switch {
	case goType == "bool":
		want = "true or false"
	case goType == "string":
		want = "one word or text, in quotes if it has special characters"
	case strings.HasPrefix(goType, "int"), strings.HasPrefix(goType, "uint"):
		want = "a whole number"
	case strings.HasPrefix(goType, "[]"):
		want = "a list, such as [one, two]"
	}
	if found == "" {
		return "here must stand " + want
	}
	return fmt.Sprintf("%q is wrong: here must stand %s", found, want)
}

var index = regexp.MustCompile(`\.(\d+)`)

// add records a mistake about the value at path, such as "issuers.0.key".
func (r *reader) add(path, format string, args ...any) {
	m := Mistake{Text: fmt.Sprintf(format, args...)}
	if path != "" {
		m.Line = r.line(path)
		m.Text = index.ReplaceAllString(path, "[$1]") + ": " + m.Text
	}
	r.mistakes = append(r.mistakes, m)
}

// line finds the line of the value at path, or of the innermost thing around it.
func (r *reader) line(path string) int {
	n := &r.doc
	if len(n.Content) == 0 {
		return 0
	}
	n = n.Content[0]
	line := 0
	for key := range strings.SplitSeq(path, ".") {
		next := child(n, key)
		if next == nil {
			break
		}
		n, line = next, next.Line
	}
	return line
}

func child(n *yaml.Node, key string) *yaml.Node {
	if i, err := strconv.Atoi(key); err == nil && n.Kind == yaml.SequenceNode && i < len(n.Content) {
		return n.Content[i]
	}
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

func (c *Config) complete(r *reader) {
	c.completeAddresses(r)
	c.URL = r.baseURL("url", c.URL, "https")
	if c.ListenHTTP != "" || c.URLHTTP != "" {
		c.URLHTTP = r.baseURL("url_http", c.URLHTTP, "http")
	}
	c.completeDatabase(r)
	c.TLS.complete(r)
	if len(c.Issuers) == 0 {
		r.add("issuers", "there must be at least one issuer; vidimusd init makes one")
	}
	c.completeProfiles(r)
	seen := make(map[string]bool)
	c.Validation.complete(r)
	for i := range c.Issuers {
		path := fmt.Sprintf("issuers.%d", i)
		c.Issuers[i].complete(r, path, seen)
		c.Issuers[i].completeCAA(r, path, c.URL)
		c.Issuers[i].completeValidation(r, path, &c.Validation)
		c.Issuers[i].completeProfiles(r, path, c.Profiles)
		c.Issuers[i].Protocol.complete(r, path)
		c.Issuers[i].Lint.complete(r, path)
	}
	c.addStaging(r, seen)
	c.completeBlockedKeys(r)
	c.Log.complete(r)
	c.Operating.complete(r)
	c.completeRevocation(r)
	c.Cleanup.complete(r)
	c.completePortal(r)
	c.completeSources(r)
}

func (t *TLS) complete(r *reader) {
	switch {
	case t.Certificate == "" && t.Key == "":
		return
	case t.Certificate == "" || t.Key == "":
		r.add("tls", "give both certificate and key, or neither: vidimusd then issues its own")
		return
	}
	t.Certificate, t.Key = r.path(t.Certificate), r.path(t.Key)
	r.pair("tls", t.Certificate, t.Key)
}

var issuerName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)

func (i *Issuer) complete(r *reader, path string, seen map[string]bool) {
	at := func(key string) string { return path + "." + key }
	if !issuerName.MatchString(i.Name) {
		r.add(at("name"), "%q is no name for an issuer; use up to 32 of a-z, 0-9 and hyphen, as it is part of URLs", i.Name)
	}
	for _, dir := range i.Directories() {
		if seen[dir] {
			r.add(at("name"), "there are two ACME directories %q", dir)
		}
		seen[dir] = true
	}
	switch v := time.Duration(i.Validity); {
	case v == 0:
		i.Validity = Duration(DefaultValidity)
	case v < MinValidity || v > MaxValidity:
		r.add(at("validity"), "%s is out of range: 6d to 398d", v)
	}
	for _, link := range []struct{ key, value string }{{"terms_of_service", i.TermsOfService}, {"website", i.Website}} {
		if u, err := url.Parse(link.value); link.value != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http") {
			r.add(at(link.key), "%q is not a URL", link.value)
		}
	}
	i.completeIntermediates(r, path)
}

// Directories lists the names of the issuer's ACME directories.
func (i *Issuer) Directories() []string {
	if i.Open {
		return []string{i.Name, i.Name + "-open"}
	}
	return []string{i.Name}
}

// path makes the name of a file absolute, and notes it.
func (r *reader) path(p string) string {
	p = r.folder(p)
	r.files = append(r.files, p)
	return p
}

func (r *reader) folder(p string) string {
	if !filepath.IsAbs(p) {
		p = filepath.Join(r.dir, p)
	}
	return filepath.Clean(p)
}

func (r *reader) address(path, s string, required bool) {
	if s == "" {
		if required {
			r.add(path, "give HOST:PORT, such as 0.0.0.0:443")
		}
		return
	}
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		r.add(path, "%q is not HOST:PORT", s)
	} else if !isPort(port) {
		r.add(path, "%q has no valid port", s)
	}
}

func isPort(s string) bool {
	_, err := strconv.ParseUint(s, 10, 16)
	return err == nil
}

func (r *reader) baseURL(path, s, scheme string) string {
	base, err := BaseURL(s, scheme)
	if err != nil {
		r.add(path, "%v", err)
	}
	return base
}

// BaseURL checks a URL that paths are put behind, and drops its final slash.
func BaseURL(s, scheme string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != scheme || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" ||
		u.RawQuery != "" || u.Fragment != "" || u.User != nil || u.Port() != "" && !isPort(u.Port()) {
		return "", fmt.Errorf("%q is not of the form %s://HOST[:PORT]", s, scheme)
	}
	return strings.TrimRight(s, "/"), nil
}
