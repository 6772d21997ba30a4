package issuance

import (
	"net/http"
	"net/url"
	"testing"
)

func TestProxies(t *testing.T) {
	const far, near = "https://ca.example.org/dir", "https://127.0.0.1:14000/dir"
	for name, c := range map[string]struct {
		env  map[string]string
		url  string
		want string // "" is none
	}{
		"nothing is set":                  {nil, far, ""},
		"a URL":                           {map[string]string{"https_proxy": "http://proxy:3128"}, far, "http://proxy:3128"},
		"no scheme":                       {map[string]string{"https_proxy": "proxy:3128"}, far, "http://proxy:3128"},
		"no scheme, an address":           {map[string]string{"https_proxy": "10.0.0.1:3128"}, far, "http://10.0.0.1:3128"},
		"upper case":                      {map[string]string{"HTTPS_PROXY": "proxy:3128"}, far, "http://proxy:3128"},
		"lower case wins":                 {map[string]string{"HTTPS_PROXY": "upper:3128", "https_proxy": "lower:3128"}, far, "http://lower:3128"},
		"for other URLs":                  {map[string]string{"http_proxy": "proxy:3128"}, far, ""},
		"for all URLs":                    {map[string]string{"all_proxy": "proxy:3128"}, far, "http://proxy:3128"},
		"its own before that for all":     {map[string]string{"ALL_PROXY": "all:1", "https_proxy": "own:2"}, far, "http://own:2"},
		"with a password":                 {map[string]string{"https_proxy": "http://user:pw@proxy:3128"}, far, "http://user:pw@proxy:3128"},
		"SOCKS":                           {map[string]string{"https_proxy": "socks5://proxy:1080"}, far, "socks5://proxy:1080"},
		"no_proxy names the host":         {map[string]string{"https_proxy": "proxy:1", "no_proxy": "ca.example.org"}, far, ""},
		"no_proxy names its domain":       {map[string]string{"https_proxy": "proxy:1", "NO_PROXY": "other,.example.org"}, far, ""},
		"no_proxy names another":          {map[string]string{"https_proxy": "proxy:1", "no_proxy": "a.example.org"}, far, "http://proxy:1"},
		"no_proxy with the port":          {map[string]string{"https_proxy": "proxy:1", "no_proxy": "ca.example.org:8443"}, "https://ca.example.org:8443/", ""},
		"no_proxy with another port":      {map[string]string{"https_proxy": "proxy:1", "no_proxy": "ca.example.org:8443"}, far, "http://proxy:1"},
		"no_proxy is everything":          {map[string]string{"https_proxy": "proxy:1", "no_proxy": "*"}, far, ""},
		"no_proxy is a network":           {map[string]string{"https_proxy": "proxy:1", "no_proxy": "192.0.2.0/24"}, "https://192.0.2.7/", ""},
		"no_proxy is another network":     {map[string]string{"https_proxy": "proxy:1", "no_proxy": "192.0.2.0/24"}, "https://192.0.3.7/", "http://proxy:1"},
		"the machine itself":              {map[string]string{"https_proxy": "proxy:1"}, near, "http://proxy:1"},
		"the machine itself, by name":     {map[string]string{"https_proxy": "proxy:1"}, "https://localhost/", "http://proxy:1"},
		"the machine itself is exempt":    {map[string]string{"https_proxy": "proxy:1", "no_proxy": "127.0.0.1, localhost"}, near, ""},
		"its network is exempt":           {map[string]string{"https_proxy": "proxy:1", "no_proxy": "127.0.0.0/8"}, near, ""},
		"its port is exempt":              {map[string]string{"https_proxy": "proxy:1", "no_proxy": "127.0.0.1:14000"}, near, ""},
		"another port of it is exempt":    {map[string]string{"https_proxy": "proxy:1", "no_proxy": "127.0.0.1:1"}, near, "http://proxy:1"},
		"IPv6":                            {map[string]string{"https_proxy": "proxy:1", "no_proxy": "::1"}, "https://[::1]:14000/", ""},
		"IPv6 in brackets":                {map[string]string{"https_proxy": "proxy:1", "no_proxy": "[::1]:14000"}, "https://[::1]:14000/", ""},
		"IPv6 in brackets without a port": {map[string]string{"https_proxy": "proxy:1", "no_proxy": "[::1]"}, "https://[::1]:14000/", ""},
	} {
		u, err := url.Parse(c.url)
		if err != nil {
			t.Fatal(err)
		}
		got, err := proxy(func(k string) string { return c.env[k] })(&http.Request{URL: u})
		text := ""
		if got != nil {
			text = got.String()
		}
		if err != nil || text != c.want {
			t.Errorf("%s: %q, %v, want %q", name, text, err, c.want)
		}
	}
}
