package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"vidimus/internal/renewal"
)

// errCancelled says that the person wants nothing done after all.
var errCancelled = errors.New("User chose to cancel the operation and may reinvoke the client.") //lint:ignore ST1005 Certbot's words

// errNoAnswer says that there are no more lines to read.
var errNoAnswer = errors.New("the input ended before the question was answered: answer it, or give the answer as an option (see --help)")

// prompt asks a person, in Certbot's manner. A wrong answer is asked for again; c
// cancels where there is a choice; the end of the input, or of the context, ends it.
type prompt struct {
	in    io.Reader
	out   io.Writer
	lines chan string // of in; made with the first question
}

// maxAnswer bounds an answer, in bytes.
const maxAnswer = 64 << 10

// line asks for a line.
func (p *prompt) line(ctx context.Context, question string) (string, error) {
	if p.lines == nil {
		p.lines = make(chan string)
		go func() { // a read from a terminal can't be interrupted
			defer close(p.lines)
			s := bufio.NewScanner(p.in)
			s.Buffer(nil, maxAnswer)
			for s.Scan() {
				p.lines <- s.Text()
			}
		}()
	}
	fmt.Fprint(p.out, question)
	select {
	case text, ok := <-p.lines:
		if !ok {
			fmt.Fprintln(p.out)
			return "", errNoAnswer
		}
		return strings.TrimSpace(text), nil
	case <-ctx.Done():
		fmt.Fprintln(p.out)
		return "", ctx.Err()
	}
}

// boxed shows text between two lines.
func (p *prompt) boxed(text string) {
	fmt.Fprintf(p.out, "\n%s\n%s\n%s\n", renewal.Frame, text, renewal.Frame)
}

// text asks for a line that check accepts. An empty one is the default, if there is
// one.
func (p *prompt) text(ctx context.Context, question string, check func(string) error) (string, error) {
	for {
		answer, err := p.line(ctx, question+" (Enter 'c' to cancel): ")
		if err != nil {
			return "", err
		}
		if strings.EqualFold(answer, "c") {
			return "", errCancelled
		}
		if err = check(answer); err == nil {
			return answer, nil
		}
		fmt.Fprintf(p.out, "%v\n", err)
	}
}

// yes asks a question of two answers, whose labels begin with different letters.
func (p *prompt) yes(ctx context.Context, question, yes, no string) (bool, error) {
	p.boxed(question)
	begins := func(answer, label string) bool {
		return answer != "" && strings.EqualFold(answer[:1], label[:1])
	}
	for {
		answer, err := p.line(ctx, fmt.Sprintf("(%s)%s/(%s)%s: ", yes[:1], yes[1:], no[:1], no[1:]))
		switch {
		case err != nil:
			return false, err
		case begins(answer, yes):
			return true, nil
		case begins(answer, no):
			return false, nil
		}
	}
}

func (p *prompt) list(question string, choices []string) {
	fmt.Fprintf(p.out, "\n%s\n%s\n", question, renewal.Frame)
	for i, c := range choices {
		fmt.Fprintf(p.out, "%d: %s\n", i+1, c)
	}
	fmt.Fprintln(p.out, renewal.Frame)
}

// menu asks for one of several choices and returns its index.
func (p *prompt) menu(ctx context.Context, question string, choices []string) (int, error) {
	p.list(question, choices)
	which := "[1]"
	if len(choices) > 1 {
		which = fmt.Sprintf("[1-%d]", len(choices))
	}
	for {
		answer, err := p.line(ctx, "Select the appropriate number "+which+" then [enter] (press 'c' to cancel): ")
		if err != nil {
			return 0, err
		}
		if strings.EqualFold(answer, "c") {
			return 0, errCancelled
		}
		if n, err := strconv.Atoi(answer); err == nil && n >= 1 && n <= len(choices) {
			return n - 1, nil
		}
		fmt.Fprintln(p.out, "** Invalid input **")
	}
}

// several asks for some of the choices; no answer is all of them.
func (p *prompt) several(ctx context.Context, question string, choices []string) ([]string, error) {
	for {
		p.list(question, choices)
		answer, err := p.line(ctx, "Select the appropriate numbers separated by commas and/or spaces, or leave input\nblank to select all options shown (Enter 'c' to cancel): ")
		if err != nil {
			return nil, err
		}
		if strings.EqualFold(answer, "c") {
			return nil, errCancelled
		}
		if picked, ok := pick(answer, choices); ok {
			return picked, nil
		}
		fmt.Fprintln(p.out, "** Error - Invalid selection **")
	}
}

func pick(answer string, choices []string) (picked []string, ok bool) {
	fields := separate(answer)
	if len(fields) == 0 {
		return choices, true
	}
	for _, f := range fields {
		n, err := strconv.Atoi(f)
		if err != nil || n < 1 || n > len(choices) {
			return nil, false
		}
		if !slices.Contains(picked, choices[n-1]) {
			picked = append(picked, choices[n-1])
		}
	}
	return picked, true
}

// separate splits a list with commas or spaces.
func separate(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
}
