package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"vidimus/internal/renewal"
)

// install stands for all verbs that work on a web server's configuration: it says what
// to do instead.
func install(_ context.Context, s *session) error {
	o := s.opts
	switch {
	case s.verb.name != "run":
		return fmt.Errorf("'%s' works on web servers by an installer plugin, and there is none here: name the files that 'certificates' lists in your server's configuration, and let a --deploy-hook reload it", s.verb.name)
	case o.Authenticator != "":
		//lint:ignore ST1005 Certbot's words
		return fmt.Errorf(`With the %[1]s plugin, you probably want to use the "certonly" command, eg: %[2]s certonly -a %[1]s`, o.Authenticator, s.Name)
	}
	return errors.New(`Vidimus doesn't know how to automatically configure the web server on this system. However, it can still get a certificate for you. Please run "` + s.Name +
		` certonly" to do so, and see "` + s.Name + ` --help". You'll need to manually configure your web server to use the resulting certificate.`)
}

// listPlugins tells what authenticators there are, in Certbot's layout.
func listPlugins(_ context.Context, s *session) error {
	all := authenticators()
	if s.opts.installers && !s.opts.authenticators {
		all = []plugin{}
	}
	if s.opts.json {
		return s.printJSON(all)
	}
	text := "No plugins"
	if len(all) > 0 {
		var blocks []string
		for _, p := range all {
			blocks = append(blocks, fmt.Sprintf("* %s\nDescription: %s\nInterfaces: %s\nEntry point: %s = vidimus", p.Name, p.Description, strings.Join(p.Interfaces, ", "), p.Name))
		}
		text = strings.Join(blocks, "\n\n")
	}
	fmt.Fprintf(s.out, "\n%s\n%s\n%s\n", renewal.Frame, text, renewal.Frame)
	return nil
}
