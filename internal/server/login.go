package server

import (
	"context"
	"errors"
	"time"

	"vidimus/internal/config"
	"vidimus/internal/job"
	"vidimus/internal/login"
)

// door is the ways to log in that are configured.
func (s *Server) door() (*login.Door, error) {
	p := s.config.Portal
	d := &login.Door{Store: s.store, Title: p.Title, Log: s.log, Hasher: login.NewHasher(login.DefaultHashCost),
		Sessions: &login.Sessions{Store: s.store, Idle: time.Duration(p.Session.Idle), Longest: time.Duration(p.Session.Longest)}}
	for i := range p.Login {
		if err := s.addWay(d, &p.Login[i]); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func (s *Server) addWay(d *login.Door, w *config.LoginWay) error {
	switch {
	case w.Password != nil:
		d.Passwords = append(d.Passwords, &login.LocalPasswords{Store: s.store, Hasher: d.Hasher, Codes: w.Password.TOTP == "required"})
	default:
		return errors.New("portal: this way of logging in is not there yet; use password")
	}
	return nil
}

// staleLogins is the background work that removes what has ended of logging in.
func (s *Server) staleLogins() job.Work {
	failed := func() time.Time { return time.Now().Add(-login.ForgetFailures) }
	return job.Work{Name: "stale_logins", Every: cleanEvery,
		Due: func(ctx context.Context) (bool, error) { return s.store.StaleLogins(ctx, time.Now(), failed()) },
		Do: func(ctx context.Context) error {
			return s.store.RemoveStaleLogins(ctx, time.Now(), failed(), staleLoginsMost)
		}}
}

// staleLoginsMost bounds what is removed at once.
const staleLoginsMost = 5000
