package server

import "vidimus/internal/request"

// desk is where people get certificates without ACME.
func (s *Server) desk() *request.Desk {
	d := &request.Desk{Store: s.store, Directory: s.dir, Runner: s.runner, Blocked: s.blocked, Log: s.log}
	for n, iss := range s.issuers {
		c := &s.config.Issuers[n]
		d.Issuers = append(d.Issuers, request.Issuer{Issuer: iss, Staging: c.IsStaging(), MaxIdentifiers: c.MaxIdentifiers})
	}
	return d
}
