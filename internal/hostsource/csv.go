package hostsource

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"vidimus/internal/config"
)

type csvReader struct {
	c     *config.CSV
	files *files
}

func openCSV(c *config.CSV) (Reader, error) {
	f, err := openFiles(&c.Files)
	return &csvReader{c, f}, err
}

// Deltas implements [Reader].
func (*csvReader) Deltas() bool { return false }

// Read implements [Reader].
func (r *csvReader) Read(ctx context.Context, mark string, to Sink) (Reading, error) {
	var from []string
	var kinds []string
	for _, x := range [][2]string{{"people", r.c.People}, {"groups", r.c.Groups}, {"hosts", r.c.Hosts}} {
		if x[1] != "" {
			kinds, from = append(kinds, x[0]), append(from, x[1])
		}
	}
	return r.files.read(ctx, mark, from, func(i int, in io.Reader) error {
		comma, _ := utf8.DecodeRuneInString(r.c.Separator)
		return readCSV(in, kinds[i], comma, r.c.Columns, to)
	})
}

// readCSV reads a table (RFC 4180) whose first line names the columns.
func readCSV(in io.Reader, kind string, comma rune, renamed map[string]string, to Sink) error {
	r := csv.NewReader(bufio.NewReader(in))
	r.Comma, r.ReuseRecord, r.LazyQuotes, r.TrimLeadingSpace = comma, true, false, comma != ' ' && comma != '\t'
	head, err := r.Read()
	if errors.Is(err, io.EOF) {
		return errors.New("it is empty; its first line must name the columns")
	} else if err != nil {
		return err
	}
	t, err := newTable(kind, head, renamed)
	if err != nil {
		return err
	}
	for {
		cells, err := r.Read()
		var wrong *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			return t.give(to)
		case errors.As(err, &wrong) && errors.Is(err, csv.ErrFieldCount):
			err = to.Skip(fmt.Sprintf("line %d of the %s", wrong.Line, kind), fmt.Errorf("it has %d columns, and the first line %d", len(cells), len(head)))
		case errors.As(err, &wrong) && wrong.Line == wrong.StartLine:
			err = to.Skip(fmt.Sprintf("line %d of the %s", wrong.Line, kind), wrong.Err)
		case err != nil: // a quote that isn't closed: what follows would be read wrongly
			return err
		default:
			if why := t.row(cells); why != nil {
				line, _ := r.FieldPos(0)
				err = to.Skip(fmt.Sprintf("line %d of the %s", line, kind), why)
			}
		}
		if err != nil {
			return err
		}
	}
}
