package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// talk gives serve some lines and returns what it answers.
func talk(t testing.TB, lines string) string {
	t.Helper()
	var out bytes.Buffer
	if err := serve(strings.NewReader(lines), &out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestProvidersTakeTheirSettingsFromTheFirstMessage(t *testing.T) {
	for provider, settings := range map[string]string{
		"digitalocean": `"DO_AUTH_TOKEN":"x"`,
		"dnsimple":     `"DNSIMPLE_OAUTH_TOKEN":"x"`,
		"dnsmadeeasy":  `"DNSMADEEASY_API_KEY":"x","DNSMADEEASY_API_SECRET":"y"`,
		"gehirn":       `"GEHIRN_API_TOKEN":"x","GEHIRN_API_SECRET":"y"`,
		"linode":       `"LINODE_TOKEN":"x"`,
		"luadns":       `"LUADNS_API_USERNAME":"x","LUADNS_API_TOKEN":"y"`,
		"ns1":          `"NS1_API_KEY":"x"`,
		"ovh":          `"OVH_ENDPOINT":"ovh-eu","OVH_APPLICATION_KEY":"x","OVH_APPLICATION_SECRET":"y","OVH_CONSUMER_KEY":"z"`,
		"route53":      `"AWS_WAIT_FOR_RECORD_SETS_CHANGED":"false","AWS_REGION":"eu-central-1"`,
		"sakuracloud":  `"SAKURACLOUD_ACCESS_TOKEN":"x","SAKURACLOUD_ACCESS_TOKEN_SECRET":"y"`,
		"desec":        `"DESEC_TOKEN":"x"`,
		"hetzner":      `"HETZNER_API_TOKEN":"x"`,
	} {
		got := talk(t, fmt.Sprintf(`{"vidimus_dns":1,"provider":%q,"settings":{%s},"resolver":"127.0.0.1:9"}`+"\n", provider, settings))
		if !strings.Contains(got, `"ok":true`) {
			t.Errorf("%s: %s", provider, got)
		}
	}
}

func TestSaysWhatIsMissing(t *testing.T) {
	for line, want := range map[string]string{
		`{"vidimus_dns":1,"provider":"linode"}`:        `some credentials information are missing: LINODE_TOKEN`,
		`{"vidimus_dns":1,"provider":"no-such-thing"}`: `lego has no DNS provider called no-such-thing`,
		`{"vidimus_dns":2,"provider":"linode"}`:        `install both from the same release`,
		`{"vidimus_dns":1,"provider":"manual"}`:        `vidimus --manual`,
		`nonsense`:                                     `reading the first message`,
	} {
		t.Setenv("LINODE_TOKEN", "")
		if got := talk(t, line+"\n"); !strings.Contains(got, want) || strings.Contains(got, `"ok":true`) || strings.Count(got, "\n") != 1 {
			t.Errorf("%s is answered with %s, want %q", line, got, want)
		}
	}
}
