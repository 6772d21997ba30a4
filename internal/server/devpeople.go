package server

import (
	"context"
	"time"

	"vidimus/internal/login"
)

// DevPerson is somebody of the demo who can log in to the portal.
type DevPerson struct {
	Login    string `json:"login"`
	Password string `json:"password"` // made anew at each start
	Role     string `json:"role"`
}

// devCost is what it takes to hash a password of the demo: little, as it is random.
var devCost = login.HashCost{Time: 1, Memory: 8 << 10, Threads: 1}

// devPasswords gives the people of the demo passwords.
func (s *Server) devPasswords(ctx context.Context) ([]DevPerson, error) {
	all := []DevPerson{}
	hasher := login.NewHasher(devCost)
	for _, d := range demo {
		p, err := s.store.PersonAlone(ctx, d.person.Login)
		if err != nil {
			continue // removed since
		}
		password := login.RandomPassword()
		hash, err := hasher.Hash(ctx, password)
		if err != nil {
			return nil, err
		}
		if err := s.store.SetPassword(ctx, p, hash, time.Now(), 0); err != nil {
			return nil, err
		}
		all = append(all, DevPerson{p.Login, password, p.Role})
	}
	return all, nil
}
