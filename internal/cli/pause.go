package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"vidimus/internal/authenticator"
	"vidimus/internal/authenticator/manual"
)

// instruct shows a person what to do by hand and waits until it is done.
func (p *prompt) instruct(ctx context.Context, text string) error {
	p.boxed(strings.TrimSuffix(text, "\n"))
	_, err := p.line(ctx, "Press Enter to Continue")
	return err
}

// pausing waits, once an authenticator has everything in place, for a person who wants
// to look at it first.
type pausing struct {
	authenticator.Authenticator
	ask    *prompt
	detail bool // tell what the CA will look at
}

// Present implements [authenticator.Authenticator].
func (p *pausing) Present(ctx context.Context, challenges []authenticator.Challenge) error {
	if err := p.Authenticator.Present(ctx, challenges); err != nil {
		return err
	}
	text := "Challenges loaded. Press continue to submit to CA.\n"
	if p.detail {
		text += expected(challenges)
	} else {
		text += "\nPass \"-v\" for more info about challenges.\n"
	}
	if err := p.ask.instruct(ctx, text); err != nil {
		return errors.Join(err, p.Cleanup(context.WithoutCancel(ctx)))
	}
	return nil
}

// expected tells where the CA will look, and for what.
func expected(challenges []authenticator.Challenge) string {
	var urls, records strings.Builder
	for _, c := range challenges {
		value, record := manual.Answer(c)
		if record == "" {
			fmt.Fprintf(&urls, "\nURL: %s\nExpected value: %s\n", manual.URL(c), value)
		} else {
			fmt.Fprintf(&records, "\nFQDN: %s\nExpected value: %s\n", record, value)
		}
	}
	text := ""
	if urls.Len() > 0 {
		text += "\nThe following URLs should be accessible from the internet and return the value mentioned:\n" + urls.String()
	}
	if records.Len() > 0 {
		text += "\nThe following FQDNs should return a TXT resource record with the value mentioned:\n" + records.String()
	}
	return text
}
