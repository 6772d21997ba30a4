package validation

import (
	"fmt"
	"strings"
)

// issueValue is the value of an issue or issuewild record (RFC 8659 §4.2).
type issueValue struct {
	domain     string // of the CA, in lower case; "" names none
	parameters []parameter
}

type parameter struct {
	tag   string // in lower case
	value string
}

// parseIssue reads such a value. One that is malformed allows no CA anything.
func parseIssue(s string) (v issueValue, err error) {
	domain, rest, more := strings.Cut(s, ";")
	v.domain = strings.ToLower(trimBlanks(domain))
	if v.domain != "" {
		for label := range strings.SplitSeq(v.domain, ".") {
			if !isLabel(label) {
				return issueValue{}, fmt.Errorf("%q is not the domain name of a CA", clip(v.domain))
			}
		}
	}
	if !more || trimBlanks(rest) == "" {
		return v, nil
	}
	for part := range strings.SplitSeq(rest, ";") {
		tag, value, ok := strings.Cut(part, "=")
		p := parameter{strings.ToLower(trimBlanks(tag)), trimBlanks(value)}
		if !ok || !isLabel(p.tag) || !isParameterValue(p.value) {
			return issueValue{}, fmt.Errorf("%q is not a parameter of the form tag=value", clip(trimBlanks(part)))
		}
		v.parameters = append(v.parameters, p)
	}
	return v, nil
}

// get finds a parameter that may be there once.
func (v issueValue) get(tag string) (value string, found bool, err error) {
	for _, p := range v.parameters {
		if p.tag != tag {
			continue
		}
		if found {
			return "", true, fmt.Errorf("it has %s twice", tag)
		}
		value, found = p.value, true
	}
	return value, found, nil
}

func trimBlanks(s string) string { return strings.Trim(s, " \t") }

// isLabel tells whether s is of letters, digits and hyphens, none of these at an end.
func isLabel(s string) bool {
	return s != "" && s[0] != '-' && s[len(s)-1] != '-' && isMethod(s)
}

// isMethod tells whether s can be the name of a validation method (RFC 8657 §4).
func isMethod(s string) bool {
	for i := range len(s) {
		if c := s[i] | 0x20; s[i] != '-' && (s[i] < '0' || s[i] > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return s != ""
}

// isParameterValue tells whether s is of visible ASCII without semicolon.
func isParameterValue(s string) bool {
	for i := range len(s) {
		if s[i] < '!' || s[i] > '~' || s[i] == ';' {
			return false
		}
	}
	return true
}
