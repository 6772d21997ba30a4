package admin

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// listAll prints what from calls its argument for, as lines of a table or as JSON, and
// keeps little of it in memory.
func listAll[T any](t *tool, out io.Writer, heading string, cells func(*T) []string, from func(each func(*T) error) error) error {
	w := bufio.NewWriter(out)
	each := jsonRows[T](w)
	if !t.json {
		each = rows(w, heading, cells)
	}
	if err := from(each); err != nil {
		return err
	}
	return errors.Join(each(nil), w.Flush())
}

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
