package manual

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"vidimus/internal/authenticator"
	"vidimus/internal/identifier"
)

func challenge(kind, name string) authenticator.Challenge {
	id, err := identifier.Parse(name)
	if err != nil {
		panic(err)
	}
	return authenticator.Challenge{Identifier: id, Type: kind, Token: "tok-" + strings.ReplaceAll(strings.ReplaceAll(name, ".", "_"), ":", "_"), KeyAuthorization: "tok." + name,
		Account: "https://ca.example.org/acct/1", AccountURIs: []string{"https://ca.example.org/acct/1"}, Issuers: []string{"ca.example.org"}}
}

func manual(t *testing.T) (*Manual, *bytes.Buffer, *bytes.Buffer) {
	t.Helper()
	var out, errs bytes.Buffer
	return &Manual{Out: &out, Err: &errs, Log: slog.New(slog.DiscardHandler),
		Environ: append(os.Environ(), "CERTBOT_TOKEN=of an outer run")}, &out, &errs
}

// TestHooksRunOncePerChallengeInOrder has both hooks write down what they are told.
func TestHooksRunOncePerChallengeInOrder(t *testing.T) {
	m, out, errs := manual(t)
	log := filepath.Join(t.TempDir(), "log")
	tell := `echo "$1 $CERTBOT_IDENTIFIER $CERTBOT_DOMAIN $CERTBOT_VALIDATION token=$CERTBOT_TOKEN $CERTBOT_REMAINING_CHALLENGES $CERTBOT_ALL_IDENTIFIERS $CERTBOT_ALL_DOMAINS out=$CERTBOT_AUTH_OUTPUT" >>` + log
	m.AuthHook = `set auth; ` + tell + `; echo "  made $CERTBOT_DOMAIN "; echo warned >&2; exit 3`
	m.CleanupHook = `set cleanup; ` + tell
	err := m.Present(t.Context(), []authenticator.Challenge{challenge("http-01", "a.example.org"), challenge("dns-01", "b.example.org")})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Cleanup(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, _ := os.ReadFile(log)
	want := "auth a.example.org a.example.org tok.a.example.org token=tok-a_example_org 1 a.example.org,b.example.org a.example.org,b.example.org out=\n" +
		"auth b.example.org b.example.org VALUE token= 0 a.example.org,b.example.org a.example.org,b.example.org out=\n" +
		"cleanup a.example.org a.example.org tok.a.example.org token=tok-a_example_org 1 a.example.org,b.example.org a.example.org,b.example.org out=made a.example.org\n" +
		"cleanup b.example.org b.example.org VALUE token= 0 a.example.org,b.example.org a.example.org,b.example.org out=made b.example.org\n"
	value2, _ := Answer(challenge("dns-01", "b.example.org"))
	if want = strings.ReplaceAll(want, "VALUE", value2); string(got) != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	for _, text := range []string{"Hook '--manual-auth-hook' for a.example.org ran with output:\n made a.example.org\n"} {
		if !strings.Contains(out.String(), text) {
			t.Errorf("output:\n%s", out)
		}
	}
	for _, text := range []string{"Hook '--manual-auth-hook' for b.example.org reported error code 3\n", "ran with error output:\n warned\n"} {
		if !strings.Contains(errs.String(), text) {
			t.Errorf("errors:\n%s", errs)
		}
	}
	if err := m.Cleanup(t.Context()); err != nil { // nothing is left to clean up
		t.Error(err)
	}
	if again, _ := os.ReadFile(log); !bytes.Equal(again, got) {
		t.Error("a second cleanup runs hooks again")
	}
}

func TestCleanupKnowsWhatWasPresentedOnly(t *testing.T) {
	m, _, _ := manual(t)
	log := filepath.Join(t.TempDir(), "log")
	ctx, cancel := context.WithCancel(t.Context())
	m.Ask = func(_ context.Context, text string) error {
		if strings.Contains(text, "b.example.org") {
			cancel()
		}
		return ctx.Err()
	}
	m.CleanupHook = "echo $CERTBOT_DOMAIN >>" + log
	if err := m.Present(ctx, []authenticator.Challenge{challenge("dns-01", "a.example.org"), challenge("dns-01", "b.example.org")}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if got, err := os.ReadFile(log); err != nil || string(got) != "a.example.org\n" {
		t.Errorf("cleaned up: %s (%v)", got, err)
	}
}

func TestPersonIsToldWhatToDo(t *testing.T) {
	m, _, _ := manual(t)
	var told []string
	m.Ask = func(_ context.Context, text string) error { told = append(told, text); return nil }
	all := []authenticator.Challenge{challenge("http-01", "a.example.org"), challenge("dns-01", "b.example.org"), challenge("dns-account-01", "b.example.org"),
		challenge("http-01", "2001:db8::1"), challenge("dns-persist-01", "c.example.org")}
	if err := m.Present(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	for i, want := range [][]string{
		{"tok.a.example.org\n", "http://a.example.org/.well-known/acme-challenge/tok-a_example_org\n"},
		{"_acme-challenge.b.example.org.\n", "do not remove,"},
		{"._acme-challenge.b.example.org.\n", "several\nTXT records"},
		{"http://[2001:db8::1]/.well-known/"},
		{"_validation-persist.c.example.org.\n", "ca.example.org; accounturi=https://ca.example.org/acct/1\n", "Before continuing"},
	} {
		for _, text := range want {
			if !strings.Contains(told[i], text) {
				t.Errorf("%q is missing in\n%s", text, told[i])
			}
		}
	}
	if strings.Contains(told[0], "do not remove") || strings.Contains(told[1], "Before continuing") {
		t.Error(told)
	}
}

func TestNobodyToAskAndNoHook(t *testing.T) {
	m, _, _ := manual(t)
	err := m.Present(t.Context(), []authenticator.Challenge{challenge("http-01", "a.example.org")})
	if err == nil || !strings.Contains(err.Error(), "--manual-auth-hook") {
		t.Error(err)
	}
}

func TestHookMayTalkWithoutEnd(t *testing.T) {
	m, out, _ := manual(t)
	m.AuthHook = "head -c 1000000 /dev/zero | tr '\\0' x; printf 'a\\0b'"
	m.CleanupHook = `test "${#CERTBOT_AUTH_OUTPUT}" = 65536`
	if err := m.Present(t.Context(), []authenticator.Challenge{challenge("dns-01", "a.example.org")}); err != nil {
		t.Fatal(err)
	}
	if err := m.Cleanup(t.Context()); err != nil || strings.Contains(out.String(), "error code") {
		t.Error(err)
	}
}

func TestTokenThatIsNone(t *testing.T) {
	m, _, _ := manual(t)
	m.AuthHook = "true"
	c := challenge("http-01", "a.example.org")
	c.Token = "../../etc/passwd"
	if err := m.Present(t.Context(), []authenticator.Challenge{c}); err == nil {
		t.Error("a token that leaves the directory is handed to the hook")
	}
}

// FuzzEnvironment looks for answers and names that would become variables of their
// own, or end a variable early.
func FuzzEnvironment(f *testing.F) {
	f.Add("a.example.org", "token", "token.thumb", "dns-01", "outer=1")
	f.Add("xn--bcher-kva.example", "", "", "http-01", "CERTBOT_TOKEN=x")
	f.Fuzz(func(t *testing.T, name, token, key, kind, outer string) {
		id, err := identifier.Parse(name)
		if err != nil {
			return
		}
		c := authenticator.Challenge{Identifier: id, Type: kind, Token: token, KeyAuthorization: key}
		env := environment([]authenticator.Challenge{c}, 0)
		seen := map[string]bool{}
		for _, e := range append(clean([]string{outer}), env...) {
			key, _, _ := strings.Cut(e, "=")
			if strings.HasPrefix(key, "CERTBOT_") && seen[key] {
				t.Errorf("%s is set twice", key)
			}
			seen[key] = true
		}
		if utf8.ValidString(token) && !strings.Contains(strings.Join(env, "\n"), "CERTBOT_IDENTIFIER="+id.Value+"\n") {
			t.Errorf("%q", env)
		}
	})
}
