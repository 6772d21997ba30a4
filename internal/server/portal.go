package server

import (
	"errors"
	"net/http"

	"vidimus/internal/login"
	"vidimus/internal/portal"
)

// openPortal makes the pages for people, which are served over TLS only, where they are
// configured.
func (s *Server) openPortal() (err error) {
	if s.config.Portal == nil {
		return nil
	}
	if s.door, err = s.openDoor(); err != nil {
		return err
	}
	c := portal.Config{Title: s.config.Portal.Title, Contact: s.config.Portal.Contact,
		Store: s.store, Directory: s.dir, Desk: s.desk(), Visitors: visitors{s.door.Sessions}, Door: s.door, Log: s.log}
	for n, iss := range s.issuers {
		i := &s.config.Issuers[n]
		c.Directories = append(c.Directories, portal.ACMEDirectory{Name: iss.Name, URL: s.DirectoryURL(i.Directories()[0]),
			Staging: i.IsStaging(), Root: s.URL + "/ca/" + iss.Name + "-root.pem", RootPEM: string(rootsPEM(iss)), Private: s.own != nil})
	}
	s.people, err = portal.New(c)
	return err
}

// visitors are the people who are logged in.
type visitors struct{ *login.Sessions }

// Visitor finds who sends a request.
func (v visitors) Visitor(r *http.Request) (portal.Visitor, error) {
	x, err := v.Of(r)
	if errors.Is(err, login.ErrNoSession) {
		err = portal.ErrNobody
	}
	return portal.Visitor{Person: x.Person, Editor: x.Editor, CSRF: x.CSRF}, err
}
