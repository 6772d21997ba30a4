package identifier

import "strings"

// Ancestors lists the DNS names above a DNS name, the nearest first, down to those of
// two labels: of www.sub.example.org, sub.example.org and example.org. A wildcard's
// are those of its base; an address has none.
func (i Identifier) Ancestors() []Identifier {
	var above []Identifier
	if i.Type != DNS {
		return nil
	}
	for {
		_, parent, ok := strings.Cut(i.Base().Value, ".")
		if !ok || !strings.Contains(parent, ".") {
			return above
		}
		i = Identifier{DNS, parent}
		above = append(above, i)
	}
}
