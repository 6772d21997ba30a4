package peer

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// given are the ports that FreePort has returned, each with the socket that keeps it
// from other test processes.
var given sync.Map

// FreePort finds a TCP and UDP port of 127.0.0.1 that nobody uses. It is below the
// range from which the system takes ports by itself, so nothing takes it by chance,
// and is returned to one caller only, of all test processes that run: who got it may
// not listen yet.
func FreePort(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := 20000 + rand.IntN(12000)
		// A name without a file (unix(7), abstract), which ends with the process.
		mine, err := net.Listen("unix", fmt.Sprintf("@vidimus-test-port-%d", port))
		if err != nil {
			continue
		}
		given.Store(port, mine)
		address := fmt.Sprintf("127.0.0.1:%d", port)
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		u, err := net.ListenPacket("udp", address)
		l.Close()
		if err != nil {
			continue
		}
		u.Close()
		return port
	}
	t.Fatal("no free port")
	return 0
}
