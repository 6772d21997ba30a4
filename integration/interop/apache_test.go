package interop

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"vidimus/integration/peer"
)

const mdModule = "/usr/lib/apache2/modules/mod_md.so"

var apache = &client{
	name:    "apache mod_md",
	version: debian("apache2-bin"),
	needs:   []string{"apache2"},
	obtain:  func(a *attempt, o *order) material { return apacheServe(a, o, nil) },
	renew: func(a *attempt, o *order) material {
		old := a.served(o.site.TLSPort, o.names[0], o.site.CABundle, nil)
		o.stop()
		return apacheServe(a, o, &old)
	},
	lacks: map[column]lack{
		revocation: {"no directive or command for it", []string{"grep", "-a", "-o", "MD[A-Z][A-Za-z0-9]*", mdModule}, "MDRevoke"},
		keyChange:  {"no directive or command for it", []string{"grep", "-a", "-o", "MD[A-Z][A-Za-z0-9]*", mdModule}, "MDKeyChange"},
	},
	reasons: []reason{
		{address, `is an IP address, which is ordered with the type`, "orders an IP address as if it were a DNS name", true},
	},
}

// apacheServe runs Apache for the order's names until it serves a certificate other
// than old.
func apacheServe(a *attempt, o *order, old *material) material {
	a.Helper()
	more := ""
	if o.eab != nil {
		more += fmt.Sprintf("MDExternalAccountBinding %s %s\n", o.eab.KID, o.eab.HMACKey)
	}
	if o.method == dnsChallenge {
		more += fmt.Sprintf("MDChallengeDns01 %s\n", a.file(filepath.Join(o.dir, "hook"), 0o755, `
#!/bin/sh
# setup|teardown NAME [VALUE]
. '%s'
case $1 in setup) txt add "$2" "$3" ;; teardown) txt delete "$2" "$3" ;; esac
`, o.site.nsupdate(a, o.dir)))
	}
	if old != nil {
		more += "MDRenewWindow 129599mi\n" // of 129600 that the certificate lives
	}
	log := filepath.Join(o.dir, fmt.Sprintf("error-%t.log", old != nil))
	config := a.file(filepath.Join(o.dir, fmt.Sprintf("httpd-%t.conf", old != nil)), 0o600, `
ServerRoot %[1]s
ServerName %[2]s
PidFile %[1]s/httpd.pid
DefaultRuntimeDir %[1]s
ErrorLog %[3]s
LogLevel warn md:info
User www-data
Group www-data
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule socache_shmcb_module /usr/lib/apache2/modules/mod_socache_shmcb.so
LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so
LoadModule md_module /usr/lib/apache2/modules/mod_md.so
Listen 127.0.0.1:%[4]d
Listen 127.0.0.1:%[5]d https
Protocols http/1.1 acme-tls/1
MDPortMap http:%[4]d https:%[5]d
MDStoreDir %[1]s/md
MDCertificateAuthority %[6]s
MDCACertificateFile %[7]s
MDCertificateAgreement accepted
MDContactEmail a@uni.test
MDCAChallenges %[8]s
MDInitialDelay 0s
MDRetryDelay 5s
%[9]sMDomain %[10]s
<VirtualHost 127.0.0.1:%[5]d>
	ServerName %[2]s
	ServerAlias %[10]s
	SSLEngine on
</VirtualHost>
`, o.dir, strings.Replace(o.names[0], "*", "www", 1), log, o.site.HTTPPort, o.site.TLSPort, o.directory, o.ca(a), o.method, more, strings.Join(o.names, " "))
	bin := peer.Need(a, "apache2")
	_, o.stop = a.start(exec.Command(bin, "-DFOREGROUND", "-f", config))
	a.keep(log)
	a.eventually("mod_md has a certificate for the next restart", func() bool {
		return strings.Contains(a.read(log), "changes will be activated on next")
	})
	a.run(exec.Command(bin, "-k", "graceful", "-f", config))
	name := strings.Replace(o.names[0], "*", "www", 1)
	if old != nil {
		return a.served(o.site.TLSPort, name, o.site.CABundle, old.leaf())
	}
	return a.served(o.site.TLSPort, name, o.site.CABundle, nil)
}
