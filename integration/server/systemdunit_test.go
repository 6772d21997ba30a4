package server

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"vidimus/integration/peer"
)

// The units of contrib/systemd, unchanged, under a systemd that is process 1 of its own
// namespaces, on a copy of this machine's files (an overlay): as docs/operating.md has it.
func TestTheUnitsRunUnderSystemd(t *testing.T) {
	if _, long := soak(t, 1); !long || peer.OnPostgres() {
		t.Skip("it starts an init of its own, which make soak does (VIDIMUS_SOAK), once")
	}
	m := startMachine(t)
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	m.put(peer.Build(t, "vidimusd"), "/usr/local/bin/vidimusd", 0o755)
	units, err := filepath.Glob(filepath.Join(root, "contrib/systemd/vidimusd*"))
	if err != nil || len(units) < 3 {
		t.Fatal(units, err)
	}
	for _, u := range units {
		m.put(u, "/etc/systemd/system/"+filepath.Base(u), 0o644)
	}
	m.must(`useradd --system --user-group --home-dir /var/lib/vidimusd vidimusd
		vidimusd init --dir /etc/vidimusd --url https://localhost --organisation "Example University"
		sed -i 's|^database:.*|database: /var/lib/vidimusd/vidimusd.db|' /etc/vidimusd/vidimusd.yaml
		install -d -m 700 -o vidimusd -g vidimusd /var/lib/vidimusd
		chown -R vidimusd:vidimusd /etc/vidimusd
		systemctl daemon-reload`)

	const ready = `curl -sS --fail --max-time 20 --cacert /etc/vidimusd/ca/root.pem https://localhost/readyz`
	m.must(`systemctl start vidimusd.service`) // returns at READY=1
	m.must(ready)
	m.must(`curl -sS --fail --max-time 20 -o /dev/null http://localhost/crl/main.crl`)
	if user := m.must(`ps -o user= -p $(systemctl show -P MainPID vidimusd.service)`); user != "vidimusd" {
		t.Errorf("it runs as %s", user)
	}
	m.must(`systemctl reload vidimusd.service`) // returns at the second READY=1
	m.must(ready)

	first := m.must(`systemctl show -P MainPID vidimusd.service`)
	m.must(`kill -9 ` + first)
	peer.Eventually(t, "it is started again", func() bool {
		out, status := m.run(`systemctl is-active vidimusd.service && systemctl show -P MainPID vidimusd.service`)
		return status == 0 && strings.HasPrefix(out, "active") && !strings.HasSuffix(strings.TrimSpace(out), "\n"+first)
	})
	m.must(ready)
	m.must(`systemctl stop vidimusd.service`)
	if result := m.must(`systemctl show -P Result vidimusd.service`); result != "success" {
		t.Errorf("its end: %s", result)
	}

	// With the sockets, a connection starts it.
	m.must(`systemctl start vidimusd-acme.socket vidimusd-http.socket`)
	if out, _ := m.run(`systemctl is-active vidimusd.service`); strings.TrimSpace(out) != "inactive" {
		t.Errorf("before anybody connects it is %s", out)
	}
	m.must(ready)
	m.must(`systemctl restart vidimusd.service & ` + ready + ` && wait`) // nobody is refused meanwhile
	m.must(`systemctl stop vidimusd-acme.socket vidimusd-http.socket vidimusd.service`)
}

// machine is a systemd with files, processes and network of its own.
type machine struct {
	t    *testing.T
	root string // its files, on top of this machine's
	init *exec.Cmd
	log  *peer.Output
}

// startMachine starts one, or skips the test where that may not be done.
func startMachine(t *testing.T) *machine {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root may start an init of its own")
	}
	for _, program := range []string{"nsenter", "setpriv", "chroot", "useradd", "curl"} {
		peer.Need(t, program)
	}
	const systemd = "/lib/systemd/systemd"
	if _, err := os.Stat(systemd); err != nil {
		t.Skip("there is no systemd here: ", err)
	}
	dir, err := os.MkdirTemp("", "vidimus-machine-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	groups, group := filepath.Join(dir, "cgroup"), ""
	if err := os.Mkdir(groups, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("cgroup2", groups, "cgroup2", 0, ""); err != nil {
		t.Skip("control groups can't be mounted here: ", err)
	}
	group = filepath.Join(groups, filepath.Base(dir))
	t.Cleanup(func() {
		os.WriteFile(filepath.Join(group, "cgroup.kill"), []byte("1"), 0)
		peer.Eventually(t, "its control groups are gone", func() bool {
			exec.Command("find", group, "-depth", "-type", "d", "-exec", "rmdir", "{}", ";").Run()
			_, err := os.Stat(group)
			return os.IsNotExist(err)
		})
		if err := unix.Unmount(groups, 0); err != nil {
			t.Error(err)
		}
	})
	if err := os.Mkdir(group, 0o755); err != nil {
		t.Skip("control groups can't be made here: ", err)
	}
	fd, err := unix.Open(group, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	m := &machine{t: t, root: filepath.Join(dir, "fs", "root"), log: new(peer.Output)}
	m.init = exec.Command("/bin/sh", "-euc", boot, "boot", dir, systemd)
	m.init.Stdout, m.init.Stderr = m.log, m.log
	m.init.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, UseCgroupFD: true, CgroupFD: fd, Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID |
		unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWNET | unix.CLONE_NEWCGROUP}
	if err := m.init.Start(); err != nil {
		t.Skip("namespaces can't be made here: ", err)
	}
	t.Cleanup(func() {
		m.init.Process.Kill() // and with it all that it has started
		m.init.Wait()
		if t.Failed() {
			t.Log(m.log.String())
		}
	})
	peer.Eventually(t, "systemd is up", func() bool {
		out, _ := m.run(`systemctl is-system-running`)
		return strings.HasPrefix(out, "running") || strings.HasPrefix(out, "degraded") || strings.Contains(m.log.String(), "boot: ")
	})
	if _, refused, found := strings.Cut(m.log.String(), "boot: "); found {
		t.Skip("the files can't be laid over here: ", refused)
	}
	return m
}

// boot makes the files and becomes systemd, without the rights to change what it shares
// with this machine: its clock, its modules, the settings of its kernel.
const boot = `
dir=$1 systemd=$2
mount --make-rprivate /
mkdir "$dir/fs"
mount -t tmpfs files "$dir/fs"
mkdir "$dir/fs/upper" "$dir/fs/work" "$dir/fs/root"
root=$dir/fs/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$dir/fs/upper,workdir=$dir/fs/work" "$root" || { echo "boot: no overlay"; exit 1; }
mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys" || { echo "boot: no sysfs"; exit 1; }
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
for d in run tmp dev; do mount -t tmpfs "$d" "$root/$d"; done
for d in null zero full random urandom tty; do touch "$root/dev/$d"; mount --bind "/dev/$d" "$root/dev/$d"; done
ln -s /proc/self/fd "$root/dev/fd"
mkdir "$root/dev/pts" "$root/dev/shm" "$root/dev/mqueue" "$root/dev/hugepages"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
mount -t tmpfs shm "$root/dev/shm"
rm -rf "$root"/etc/systemd/system/*.wants "$root"/etc/systemd/system/*.requires
mkdir -p "$root/run/systemd/system" "$root/etc/systemd/system"
for u in systemd-sysctl systemd-modules-load systemd-udevd systemd-udev-trigger systemd-random-seed systemd-remount-fs \
	systemd-tmpfiles-setup systemd-tmpfiles-setup-dev systemd-timesyncd systemd-networkd systemd-binfmt systemd-sysusers; do
	ln -sf /dev/null "$root/etc/systemd/system/$u.service"
done
printf '[Unit]\nDescription=For tests\nRequires=basic.target\nAfter=basic.target\n' >"$root/run/systemd/system/for-tests.target"
cd /
exec setpriv --bounding-set -sys_time,-sys_boot,-sys_module,-sys_rawio chroot "$root" /usr/bin/env -i container=test PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
	"$systemd" --system --unit=for-tests.target --show-status=no --log-target=journal --log-level=info
`

// run runs a script in the machine.
func (m *machine) run(script string) (output string, status int) {
	m.t.Helper()
	return peer.Run(m.t, exec.Command("nsenter", "--target", fmt.Sprint(m.init.Process.Pid), "--mount", "--pid", "--ipc", "--uts", "--net", "--cgroup", "--root", "--wd",
		"/bin/sh", "-euc", script))
}

// must runs a script in the machine, which must succeed, and returns what it prints.
func (m *machine) must(script string) string {
	m.t.Helper()
	out, status := m.run(script)
	if status != 0 {
		why, _ := m.run(`systemctl status --no-pager -l vidimusd.service || true; journalctl --no-pager -n 40 || true`)
		m.t.Fatalf("%s\nexit status %d: %s\n%s", script, status, out, why)
	}
	return strings.TrimSpace(out)
}

// put copies a file of this machine into it.
func (m *machine) put(from, to string, mode os.FileMode) {
	m.t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		m.t.Fatal(err)
	}
	cmd := exec.Command("nsenter", "--target", fmt.Sprint(m.init.Process.Pid), "--mount", "--root", "--wd", "/bin/sh", "-euc", fmt.Sprintf("cat >%s && chmod %o %[1]s", to, mode))
	cmd.Stdin = strings.NewReader(string(data))
	peer.Must(m.t, cmd)
}
