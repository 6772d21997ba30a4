package server

import (
	"fmt"
	"net"
	"sync"
	"testing"

	"vidimus/integration/peer"
)

// stall is a way to a server by which nothing passes while it is frozen: connections are
// neither refused nor answered nor cut, as when the machine behind them hangs.
type stall struct {
	Port   int
	frozen sync.RWMutex
}

// startStall is a way to a port of this machine.
func startStall(t *testing.T, to int) *stall {
	t.Helper()
	s := &stall{Port: peer.FreePort(t)}
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", s.Port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", to))
			if err != nil {
				in.Close()
				continue
			}
			go s.pass(in, out)
			go s.pass(out, in)
		}
	}()
	return s
}

func (s *stall) pass(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if err == nil {
			err = s.send(to, buf[:n])
		}
		if err != nil {
			return
		}
	}
}

func (s *stall) send(to net.Conn, b []byte) error {
	s.frozen.RLock()
	defer s.frozen.RUnlock()
	_, err := to.Write(b)
	return err
}
