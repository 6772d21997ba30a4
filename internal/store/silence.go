package store

import (
	"context"
	"net"
	"sync"
	"time"
)

// silence is how long PostgreSQL may say nothing to a statement before its connection
// counts as dead: longer than statement_timeout lets any take. Nothing else finds out
// about a machine that hangs but still acknowledges what it is sent.
const silence = 35 * time.Second

// dialBounded dials connections on which nobody waits for an answer for ever.
func dialBounded(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &boundedConn{Conn: c, silence: silence}, nil
}

// boundedConn gives each read a deadline, but where the driver has set its own, by which
// it ends a read that nobody waits for any more, from another goroutine.
type boundedConn struct {
	net.Conn
	silence time.Duration

	mu     sync.Mutex // held while a deadline is set
	others bool       // a deadline of the driver's stands; guarded by mu
}

func (c *boundedConn) Read(b []byte) (int, error) {
	if err := c.bound(); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

func (c *boundedConn) bound() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.others {
		return nil
	}
	return c.Conn.SetReadDeadline(time.Now().Add(c.silence))
}

func (c *boundedConn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.others = !t.IsZero()
	return c.Conn.SetDeadline(t)
}

func (c *boundedConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.others = !t.IsZero()
	return c.Conn.SetReadDeadline(t)
}
