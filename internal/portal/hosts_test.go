package portal

import (
	"fmt"
	"strings"
	"testing"
)

func TestHostsAreOnesOwn(t *testing.T) {
	s := newSite(t)
	s.host("www.example.org", "ada")
	s.host("lab.example.org", "@web")
	s.host("mail.example.org", "bob")
	s.host("team.example.org")
	s.as("ada").get("/portal/hosts").is(200, "www.example.org", "lab.example.org").lacks("mail.example.org", "team.example.org")
	s.as("bob").get("/portal/hosts").is(200, "mail.example.org").lacks("www.example.org")
	for _, who := range []string{"auditor", "operator", "administrator"} {
		s.as(who).get("/portal/hosts").is(200, "mail.example.org", "www.example.org", "team.example.org")
	}
	s.as("ada").get("/portal/hosts?q=B.EX").is(200, "lab.example.org").lacks("www.example.org")
	s.as("ada").get("/portal/hosts?q=100%25").is(200, "No host has").lacks("www.example.org")
	s.as("ada").get("/portal/hosts?q=<script>").is(200, "&lt;script&gt;").lacks("<script>")
}

func TestHostsArePaged(t *testing.T) {
	s := newSite(t)
	for i := range 120 {
		s.host(fmt.Sprintf("h%03d.example.org", i), "ada")
	}
	b, path, seen := s.as("ada"), "/portal/hosts?q=example", 0
	for range 3 {
		p := b.get(path).is(200)
		seen += strings.Count(p.body, `<th scope="row">`)
		_, rest, _ := strings.Cut(p.body, `class="pages"`)
		_, next, ok := strings.Cut(rest, `<a href="/portal/hosts?after=`)
		if !ok {
			break
		}
		next, _, _ = strings.Cut(next, `"`)
		path = "/portal/hosts?after=" + strings.ReplaceAll(next, "&amp;", "&")
	}
	if seen != 120 {
		t.Errorf("%d hosts on three pages", seen)
	}
}
