package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"vidimus/internal/authenticator"
	"vidimus/internal/identifier"
)

func asking(answers string) (*prompt, *bytes.Buffer) {
	out := new(bytes.Buffer)
	return &prompt{in: strings.NewReader(answers), out: out}, out
}

func TestWrongAnswersAreAskedForAgain(t *testing.T) {
	p, out := asking("maybe\n\nY\nnein\n")
	for _, want := range []bool{true, false} {
		if got, err := p.yes(t.Context(), "Sure?", "Yes", "No"); err != nil || got != want {
			t.Errorf("%v, %v", got, err)
		}
	}
	if n := strings.Count(out.String(), "(Y)es/(N)o: "); n != 4 {
		t.Errorf("asked %d times:\n%s", n, out)
	}

	p, _ = asking("0\n3\nx\n2\n")
	if i, err := p.menu(t.Context(), "Which?", []string{"a", "b"}); err != nil || i != 1 {
		t.Error(i, err)
	}
	p, out = asking("9\n2, 1 2\n\nc\n")
	for _, want := range []string{"[b a]", "[a b]"} {
		if got, err := p.several(t.Context(), "Which?", []string{"a", "b"}); err != nil || fmt.Sprint(got) != want {
			t.Errorf("%v, %v, want %s", got, err, want)
		}
	}
	if !strings.Contains(out.String(), "** Error - Invalid selection **") {
		t.Error(out)
	}
	if _, err := p.several(t.Context(), "Which?", []string{"a"}); !errors.Is(err, errCancelled) {
		t.Error(err)
	}
}

func TestEndOfInputAndOfPatience(t *testing.T) {
	p, _ := asking("x")
	if _, err := p.menu(t.Context(), "Which?", []string{"a", "b"}); !errors.Is(err, errNoAnswer) {
		t.Error(err)
	}
	silent, w := io.Pipe()
	defer w.Close()
	p = &prompt{in: silent, out: io.Discard}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.yes(ctx, "Sure?", "Yes", "No"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

type calm struct{ authenticator.Authenticator }

func (calm) Present(context.Context, []authenticator.Challenge) error { return nil }

func TestPauseTellsWhatTheCAWillSee(t *testing.T) {
	p, out := asking("\n")
	id := identifier.Identifier{Type: identifier.DNS, Value: "a.example.org"}
	err := (&pausing{calm{}, p, true}).Present(t.Context(), []authenticator.Challenge{
		{Identifier: id, Type: "http-01", Token: "tok", KeyAuthorization: "tok.print"}, {Identifier: id, Type: "dns-01", Token: "tok", KeyAuthorization: "tok.print"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"URL: http://a.example.org/.well-known/acme-challenge/tok\nExpected value: tok.print\n", "FQDN: _acme-challenge.a.example.org\n", "Press Enter to Continue"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
}

// FuzzPick looks for selections that are not among the choices.
func FuzzPick(f *testing.F) {
	f.Add("1, 2")
	f.Fuzz(func(t *testing.T, answer string) {
		picked, ok := pick(answer, []string{"a", "b"})
		if ok && (len(picked) == 0 || len(picked) > 2) {
			t.Errorf("%q: %v", answer, picked)
		}
	})
}
