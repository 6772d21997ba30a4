package peer

import (
	"database/sql"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	_ "github.com/go-sql-driver/mysql" // the driver of StartMariaDB's connection
)

// StartMariaDB starts a server of a test's own, and returns its port on 127.0.0.1 and a
// connection of its root.
func StartMariaDB(t testing.TB) (port int, root *sql.DB) {
	t.Helper()
	program, install := Need(t, "mariadbd"), Need(t, "mariadb-install-db")
	dir, port := t.TempDir(), FreePort(t)
	data := filepath.Join(dir, "data")
	Must(t, exec.Command(install, "--no-defaults", "--user=root", "--datadir="+data, "--skip-test-db", "--auth-root-authentication-method=normal"))
	Start(t, exec.Command(program, "--no-defaults", "--user=root", "--datadir="+data, "--socket="+filepath.Join(dir, "socket"), "--pid-file="+filepath.Join(dir, "pid"),
		"--bind-address=127.0.0.1", fmt.Sprintf("--port=%d", port), "--skip-name-resolve", "--innodb-buffer-pool-size=16M", "--innodb-flush-log-at-trx-commit=0"))
	root, err := sql.Open("mysql", fmt.Sprintf("root@unix(%s)/mysql?multiStatements=true", filepath.Join(dir, "socket")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	Eventually(t, "MariaDB answers", func() bool { return root.Ping() == nil })
	return port, root
}
