package admin

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// rows prints values as lines of a table, and the last ones for nil. It keeps few of
// them, as there may be millions.
func rows[T any](w io.Writer, heading string, cells func(*T) []string) func(*T) error {
	const block = 256 // lines whose columns are as wide as one another's
	n, tw := 0, tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, heading)
	return func(v *T) error {
		if n++; v == nil || n%block == 0 {
			if err := tw.Flush(); v == nil || err != nil {
				return err
			}
		}
		_, err := fmt.Fprintln(tw, strings.Join(cells(v), "\t"))
		return err
	}
}

// jsonRows prints values as one array, and its end for nil.
func jsonRows[T any](w io.Writer) func(*T) error {
	next := "["
	return func(v *T) error {
		if v == nil {
			if next == "[" { // there was none
				_, err := io.WriteString(w, "[]\n")
				return err
			}
			_, err := io.WriteString(w, "\n]\n")
			return err
		}
		data, err := json.MarshalIndent(v, "  ", "  ")
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(w, "%s\n  %s", next, data)
		next = ","
		return err
	}
}
