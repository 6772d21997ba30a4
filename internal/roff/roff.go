// Package roff escapes text for manual pages, in the language of man(7).
package roff

import "strings"

var escaper = strings.NewReplacer(`\`, `\e`, "-", `\-`, "\n.", "\n\\&.", "\n'", "\n\\&'", "'", `\(aq`)

// Escape makes text that stands for itself. What comes first in a line must be no dot:
// only those behind a line's end are escaped.
func Escape(s string) string { return escaper.Replace(s) }
