package store

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

func TestASilentDatabaseIsGivenUp(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	c := &boundedConn{Conn: near, silence: time.Millisecond}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || !lost(err) {
		t.Fatalf("reading what doesn't come: %v; lost: %v", err, lost(err))
	}
	// A deadline of the driver's is kept, and when it is taken back ours is there again.
	if err := c.SetDeadline(time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	go far.Write([]byte("x"))
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := c.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("reading what doesn't come: %v", err)
	}
}

// A read that is about to begin when the driver gives it up ends at once, and not when the
// silence has lasted.
func TestAReadThatIsGivenUpEnds(t *testing.T) {
	for range 5000 {
		near, far := net.Pipe()
		c := &boundedConn{Conn: near, silence: time.Hour}
		ended := make(chan error)
		go func() { _, err := c.Read(make([]byte, 1)); ended <- err }()
		go c.SetDeadline(time.Unix(1, 0))
		select {
		case err := <-ended:
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal(err)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("the read goes on")
		}
		far.Close()
	}
}
