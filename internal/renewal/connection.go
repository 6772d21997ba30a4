package renewal

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"vidimus/internal/account"
	"vidimus/internal/issuance"
)

// Connections holds what is the same for many certificates: one connection, with
// one directory, for each CA, and the accounts. It may be used by many goroutines.
type Connections struct {
	ConfigDir   string
	UserAgent   string
	NoVerifyTLS bool
	Log         *slog.Logger
	Getenv      func(string) string
	// Register makes an account where there is none; nil is an error then.
	Register func(ctx context.Context, ca *issuance.CA, store *account.Store) (account.Account, error)

	mu  sync.Mutex
	cas map[string]*dialed // by directory URL; guarded by mu

	accountMu sync.Mutex                    // held while an account is looked for or made
	accounts  map[[2]string]account.Account // by server and ID; guarded by accountMu
}

type dialed struct {
	done chan struct{} // closed when the rest is set
	ca   *issuance.CA
	err  error
}

// CA returns the connection to a CA. One that cannot be reached is tried once. Who
// waits for the connection may give up; it is made for the others.
func (c *Connections) CA(ctx context.Context, server string) (*issuance.CA, error) {
	c.mu.Lock()
	if c.cas == nil {
		c.cas = map[string]*dialed{}
	}
	d := c.cas[server]
	if d == nil {
		d = &dialed{done: make(chan struct{})}
		c.cas[server] = d
		go func() {
			defer close(d.done)
			d.ca, d.err = issuance.Dial(context.WithoutCancel(ctx), issuance.Options{Directory: server, UserAgent: c.UserAgent,
				NoVerifyTLS: c.NoVerifyTLS, Log: c.Log, Getenv: c.Getenv})
		}()
	}
	c.mu.Unlock()
	select {
	case <-d.done:
		return d.ca, d.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Account finds the account to use at a server: the one of the ID, or the only one
// there is. Reading one costs as much as a signature, so it is done once.
func (c *Connections) Account(ctx context.Context, server, id string) (account.Account, error) {
	c.accountMu.Lock()
	defer c.accountMu.Unlock()
	key := [2]string{server, id}
	if a, ok := c.accounts[key]; ok {
		return a, nil
	}
	a, err := c.find(ctx, server, id)
	if err == nil {
		if c.accounts == nil {
			c.accounts = map[[2]string]account.Account{}
		}
		c.accounts[key] = a
	}
	return a, err
}

func (c *Connections) find(ctx context.Context, server, id string) (account.Account, error) {
	store, err := account.Open(c.ConfigDir, server)
	if err != nil {
		return account.Account{}, err
	}
	if id != "" {
		a, err := store.Load(id)
		if err != nil {
			return a, fmt.Errorf("the account at %s: %w", server, err)
		}
		return a, nil
	}
	all, err := store.List()
	if err != nil {
		return account.Account{}, err
	}
	switch {
	case len(all) == 1:
		return all[0], nil
	case len(all) > 1:
		ids := make([]string, len(all))
		for i, a := range all {
			ids[i] = a.ID
		}
		return account.Account{}, fmt.Errorf("there are several accounts at %s: choose with --account one of %s", server, strings.Join(ids, ", "))
	case c.Register == nil:
		return account.Account{}, fmt.Errorf("there is no account at %s: make one with the register command", server)
	}
	ca, err := c.CA(ctx, server)
	if err != nil {
		return account.Account{}, err
	}
	return c.Register(ctx, ca, store)
}

// Requests is the number of requests made so far to all CAs.
func (c *Connections) Requests() (n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range c.cas {
		select {
		case <-d.done:
			if d.ca != nil {
				n += d.ca.Requests()
			}
		default:
		}
	}
	return n
}
