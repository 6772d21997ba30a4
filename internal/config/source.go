package config

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
)

// Source is where hosts, and the people and groups responsible for them, come from: one
// of LDAP, SQL, CSV and JSON.
type Source struct {
	Name     string   `json:"-" yaml:"name"`
	Priority int      `json:"-" yaml:"priority"` // of two that have an entry the one of the higher priority decides; default 0
	Every    Duration `json:"-" yaml:"every"`    // how often it is read, 1m to 7d; default 15m
	MaxLoss  *int     `json:"-" yaml:"max_loss"` // percent of its hosts, people or groups; a reading that loses more, and more than 10, waits for an operator; 0 to 100, default 10
	Timeout  Duration `json:"-" yaml:"timeout"`  // of a reading, 5s to 8m; default 5m

	Unassigned string `yaml:"unassigned"` // who is responsible for a host for which it names nobody: "nobody", the default, or "team", the CA team

	LDAP *LDAP      `yaml:"ldap"`
	SQL  *SQL       `yaml:"sql"`
	CSV  *CSV       `yaml:"csv"`
	JSON *JSONFiles `yaml:"json"`
}

// LDAP is a source that is a directory.
type LDAP struct {
	URL          string      `yaml:"url"`           // ldaps://HOST[:PORT], or ldap:// with StartTLS
	StartTLS     *bool       `yaml:"start_tls"`     // with ldap://; default true
	CA           string      `yaml:"ca"`            // file of CA certificates; default the system's
	BindDN       string      `yaml:"bind_dn"`       // default: anonymous
	PasswordFile string      `yaml:"password_file"` // of bind_dn
	PageSize     int         `yaml:"page_size"`     // entries asked for at once, 10 to 10000; default 500
	FullEvery    Duration    `yaml:"full_every"`    // in between, only entries with a newer modifyTimestamp are read, and none is removed; 1m to 30d, default 6h
	Hosts        *LDAPHosts  `yaml:"hosts"`
	People       *LDAPPeople `yaml:"people"`
	Groups       *LDAPGroups `yaml:"groups"`
}

// LDAPSearch is where entries are.
type LDAPSearch struct {
	Base   string `yaml:"base"`
	Filter string `yaml:"filter"` // default (objectClass=*)
}

// LDAPHosts maps attributes of hosts.
type LDAPHosts struct {
	LDAPSearch `yaml:",inline"`
	FQDN       string            `yaml:"fqdn"`    // each value is a host; default cn
	People     []string          `yaml:"people"`  // whose values are logins, or DNs of people or groups
	Groups     []string          `yaml:"groups"`  // whose values are names, or DNs, of groups
	Details    map[string]string `yaml:"details"` // attributes, by the names that they are shown under
}

// LDAPPeople maps attributes of people.
type LDAPPeople struct {
	LDAPSearch `yaml:",inline"`
	Login      string `yaml:"login"` // default uid
	Name       string `yaml:"name"`  // default cn
	Email      string `yaml:"email"` // default mail
}

// LDAPGroups maps attributes of groups.
type LDAPGroups struct {
	LDAPSearch `yaml:",inline"`
	Name       string `yaml:"name"`    // default cn
	Title      string `yaml:"title"`   // default description
	Members    string `yaml:"members"` // logins, or DNs of people; default member
}

// SQL is a source that is a database. The queries name columns: fqdn, people, groups and
// details by other names; login, name, email; name, title, members.
type SQL struct {
	URL          string `yaml:"url"`           // postgres://USER@HOST/DATABASE or mysql://USER@HOST/DATABASE, without a password
	PasswordFile string `yaml:"password_file"` //
	CA           string `yaml:"ca"`            // file of CA certificates, for mysql; default the system's
	Hosts        string `yaml:"hosts"`
	People       string `yaml:"people"`
	Groups       string `yaml:"groups"`
}

// Files are tables or documents, each in a file or at an https URL.
type Files struct {
	CA        string `yaml:"ca"`         // file of CA certificates, for https; default the system's
	TokenFile string `yaml:"token_file"` // for https: its content goes with the request (Authorization: Bearer)
	MaxSize   int64  `yaml:"max_size"`   // bytes of a file, at most 1 GiB; default 64 MiB
}

// CSV is a source of tables with a line of headings.
type CSV struct {
	Files     `yaml:",inline"`
	Hosts     string            `yaml:"hosts"`
	People    string            `yaml:"people"`
	Groups    string            `yaml:"groups"`
	Separator string            `yaml:"separator"` // of columns, one character; default comma
	Columns   map[string]string `yaml:"columns"`   // headings in the tables, by what they mean: fqdn, people, groups, login, name, email, title, members
}

// JSONFiles is a source of documents.
type JSONFiles struct {
	Files `yaml:",inline"`
	From  []string `yaml:"from"` // files or URLs
}

// Limits and defaults of [Source].
const (
	MinSourceEvery, MaxSourceEvery, DefaultSourceEvery       = time.Minute, 7 * 24 * time.Hour, 15 * time.Minute
	MinSourceTimeout, MaxSourceTimeout, DefaultSourceTimeout = 5 * time.Second, 8 * time.Minute, 5 * time.Minute
	MinFullEvery, MaxFullEvery, DefaultFullEvery             = time.Minute, 30 * 24 * time.Hour, 6 * time.Hour
	DefaultMaxLoss                                           = 10
	DefaultSourceSize, MaxSourceSize                         = 64 << 20, 1 << 30
	DefaultPageSize                                          = 500
)

// Settings is a hash of what decides how the source is read.
func (s *Source) Settings() string {
	data, err := json.Marshal(s)
	if err != nil {
		panic("config: " + err.Error()) // a plain struct
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:16])
}

// Kind is what the source is, in a word.
func (s *Source) Kind() string {
	switch {
	case s.LDAP != nil:
		return "ldap"
	case s.SQL != nil:
		return "sql"
	case s.CSV != nil:
		return "csv"
	}
	return "json"
}

func (c *Config) completeSources(r *reader) {
	names, priorities := make(map[string]bool), make(map[int]string)
	for i := range c.Sources {
		s, path := &c.Sources[i], fmt.Sprintf("sources.%d", i)
		if !issuerName.MatchString(s.Name) {
			r.add(path+".name", "%q is no name for a source; use up to 32 of a-z, 0-9 and hyphen", s.Name)
		} else if names[s.Name] {
			r.add(path+".name", "there are two sources %q", s.Name)
		}
		names[s.Name] = true
		if other, taken := priorities[s.Priority]; taken {
			r.add(path+".priority", "it is that of source %s too; give them different ones, the higher to the source that decides where both have an entry", other)
		}
		priorities[s.Priority] = s.Name
		s.complete(r, path)
	}
}

func (r *reader) duration(path string, d *Duration, least, most, def time.Duration) {
	switch v := time.Duration(*d); {
	case v == 0:
		*d = Duration(def)
	case v < least || v > most:
		r.add(path, "%s is out of range: %s to %s", v, least, most)
	}
}

func (s *Source) complete(r *reader, path string) {
	r.duration(path+".every", &s.Every, MinSourceEvery, MaxSourceEvery, DefaultSourceEvery)
	r.duration(path+".timeout", &s.Timeout, MinSourceTimeout, MaxSourceTimeout, DefaultSourceTimeout)
	if s.Priority < -1_000_000 || s.Priority > 1_000_000 {
		r.add(path+".priority", "%d is out of range: -1000000 to 1000000", s.Priority)
	}
	if s.MaxLoss == nil {
		def := DefaultMaxLoss
		s.MaxLoss = &def
	} else if *s.MaxLoss < 0 || *s.MaxLoss > 100 {
		r.add(path+".max_loss", "%d is out of range: percent, 0 to 100", *s.MaxLoss)
	}
	switch s.Unassigned {
	case "", "nobody":
		s.Unassigned = "nobody"
	case "team":
	default:
		r.add(path+".unassigned", "%q is neither nobody nor team", s.Unassigned)
	}
	kinds := 0
	for _, is := range []bool{s.LDAP != nil, s.SQL != nil, s.CSV != nil, s.JSON != nil} {
		if is {
			kinds++
		}
	}
	if kinds != 1 {
		r.add(path, "say what it is by one of ldap, sql, csv and json; here are %d of them", kinds)
		return
	}
	switch {
	case s.LDAP != nil:
		s.LDAP.complete(r, path+".ldap")
	case s.SQL != nil:
		s.SQL.complete(r, path+".sql")
	case s.CSV != nil:
		s.CSV.complete(r, path+".csv")
	case s.JSON != nil:
		s.JSON.complete(r, path+".json")
	}
}

func (s *SQL) complete(r *reader, path string) {
	u, err := url.Parse(s.URL)
	if err != nil || !slices.Contains([]string{"postgres", "postgresql", "mysql"}, u.Scheme) {
		r.add(path+".url", "give postgres://USER@HOST/DATABASE or, for MariaDB and MySQL, mysql://USER@HOST/DATABASE")
	} else if _, has := u.User.Password(); has || u.Query().Has("password") {
		r.add(path+".url", "the password has no place in the URL: put it into a file, which password_file names")
	} else if u.Scheme == "mysql" && strings.Trim(u.Path, "/") == "" {
		r.add(path+".url", "the name of the database is missing: mysql://USER@HOST/DATABASE")
	}
	s.PasswordFile = r.secret(path+".password_file", s.PasswordFile)
	s.CA = r.roots(path+".ca", s.CA)
	if s.Hosts == "" && s.People == "" && s.Groups == "" {
		r.add(path, "give a query for hosts, people or groups")
	}
}

func (f *Files) complete(r *reader, path string) {
	f.CA = r.roots(path+".ca", f.CA)
	f.TokenFile = r.secret(path+".token_file", f.TokenFile)
	switch {
	case f.MaxSize == 0:
		f.MaxSize = DefaultSourceSize
	case f.MaxSize < 1 || f.MaxSize > MaxSourceSize:
		r.add(path+".max_size", "%d is out of range: 1 to %d bytes", f.MaxSize, MaxSourceSize)
	}
}

// fileOrURL checks the name of a file, or the https URL, that a source is read from.
func (r *reader) fileOrURL(path string, name *string) {
	switch {
	case *name == "":
	case strings.HasPrefix(*name, "https://"):
		if u, err := url.Parse(*name); err != nil || u.Hostname() == "" {
			r.add(path, "this is no URL; write https://HOST/PATH")
		} else if u.User != nil {
			r.add(path, "a user and password have no place in the URL; put a token into a file, which token_file names")
		}
	case strings.Contains(*name, "://"):
		r.add(path, "there are files, and https:// URLs; choose one of them")
	default:
		*name = r.path(*name)
		if info, err := os.Stat(*name); err != nil {
			r.add(path, "%v", err)
		} else if info.IsDir() {
			r.add(path, "%s is a folder", *name)
		}
	}
}

// csvColumns are what columns of tables may mean.
var csvColumns = []string{"fqdn", "people", "groups", "login", "name", "email", "title", "members"}

func (s *CSV) complete(r *reader, path string) {
	s.Files.complete(r, path)
	r.fileOrURL(path+".hosts", &s.Hosts)
	r.fileOrURL(path+".people", &s.People)
	r.fileOrURL(path+".groups", &s.Groups)
	if s.Hosts == "" && s.People == "" && s.Groups == "" {
		r.add(path, "name a file, or an https URL, of hosts, people or groups")
	}
	switch n := len([]rune(s.Separator)); {
	case n == 0:
		s.Separator = ","
	case n != 1 || strings.ContainsAny(s.Separator, "\"\r\n\uFFFD"):
		r.add(path+".separator", "%q is not a character that separates columns", s.Separator)
	}
	for k := range s.Columns {
		if !slices.Contains(csvColumns, k) {
			r.add(path+".columns."+k, "there is nothing that %s means; there are %s, and other columns are details by their own names", k, strings.Join(csvColumns, ", "))
		}
	}
}

func (s *JSONFiles) complete(r *reader, path string) {
	s.Files.complete(r, path)
	if len(s.From) == 0 {
		r.add(path+".from", "name a file or an https URL")
	}
	for i := range s.From {
		at := fmt.Sprintf("%s.from.%d", path, i)
		if s.From[i] == "" {
			r.add(at, "name a file or an https URL")
		}
		r.fileOrURL(at, &s.From[i])
	}
}
