package admin

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"

	"vidimus/internal/server"
)

// supervisor is systemd, where it started this process, and whoever sends SIGHUP. end
// must be called.
func supervisor() (s server.Supervisor, end func(), err error) {
	if s.Watchdog, err = daemon.SdWatchdogEnabled(false); err != nil {
		return s, nil, err
	}
	s.Tell = func(state string) { _, _ = daemon.SdNotify(false, state) } // there is nobody else to tell that it fails
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	s.Reload = hangup
	return s, func() { signal.Stop(hangup) }, nil
}
