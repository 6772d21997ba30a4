package interop

import (
	"fmt"
	"slices"
	"strings"
)

// row is a client with what came of trying everything with it.
type row struct {
	name, version string
	cells         map[column]cell
}

const head = `# vidimusd with the clients that people use

Made by ` + "`make interop`" + `, which runs each client against a vidimusd built from this tree, on
loopback: **ok** is a run whose result was looked at (the names, the chain to the root, the
private key; the account bound to the ACME-ID; the record of what a certificate replaces;
the revoked certificate in CRL and OCSP; an order with the new account key), "–" is what the
client hasn't. The logs of a run are in ` + "`.cache/interop`" + `.

EAB is tried on the directory for ACME-IDs, and so is whether the user is shown why a name
is refused that the ACME-ID hasn't; all else on the open one, where control is proved. IP address is 127.0.0.1 by http-01, wildcard is by dns-01, with updates to BIND signed by
TSIG.

`

// document makes the page from the outcomes.
func document(rows []row) string {
	var b strings.Builder
	b.WriteString(head)
	b.WriteString("| client |")
	for _, c := range columns {
		fmt.Fprintf(&b, " %s |", c.name)
	}
	b.WriteString("\n| --- |" + strings.Repeat(" --- |", len(columns)) + "\n")
	var notes []string
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s %s |", r.name, r.version)
		for _, c := range columns {
			got := r.cells[c.name]
			b.WriteString(" " + got.mark)
			for _, n := range got.notes {
				i := slices.Index(notes, n)
				if i < 0 {
					i, notes = len(notes), append(notes, n)
				}
				fmt.Fprintf(&b, " [%d](#notes)", i+1)
			}
			b.WriteString(" |")
		}
		b.WriteString("\n")
	}
	b.WriteString("\n## Notes\n\n")
	for i, n := range notes {
		fmt.Fprintf(&b, "%d. %s.\n", i+1, strings.ToUpper(n[:1])+n[1:])
	}
	return b.String()
}
