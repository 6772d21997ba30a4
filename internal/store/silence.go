package store

import (
	"context"
	"net"
	"sync/atomic"
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

// boundedConn gives each read a deadline, but where the driver has set its own.
type boundedConn struct {
	net.Conn
	silence time.Duration
	others  atomic.Bool // a deadline of the driver's stands
}

func (c *boundedConn) Read(b []byte) (int, error) {
	if !c.others.Load() {
		if err := c.Conn.SetReadDeadline(time.Now().Add(c.silence)); err != nil {
			return 0, err
		}
	}
	return c.Conn.Read(b)
}

func (c *boundedConn) SetDeadline(t time.Time) error {
	c.others.Store(!t.IsZero())
	return c.Conn.SetDeadline(t)
}

func (c *boundedConn) SetReadDeadline(t time.Time) error {
	c.others.Store(!t.IsZero())
	return c.Conn.SetReadDeadline(t)
}
