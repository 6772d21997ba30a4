package differential

// renewing is about renew, without hooks.
var renewing = []scenario{
	{name: "nothing there, nothing due", script: `
		certbot renew
		certbot certonly $CA $ALONE -d a.example.org
		certbot renew --pre-hook 'note pre' --post-hook 'note post' --deploy-hook 'note deploy'
		certbot renew --cert-name a.example.org
		!certbot renew --cert-name nobody
		!certbot renew -d a.example.org`},
	{name: "one of two", script: `
		certbot certonly $CA $ALONE -d a.example.org
		certbot certonly $CA $ALONE -d b.example.org
		certbot renew --force-renewal --cert-name b.example.org`},
	{name: "a broken lineage beside a good one", script: `
		certbot certonly $CA $ALONE -d b.example.org
		echo broken > config/renewal/a.example.org.conf
		printf 'version = 1.0\n' > config/renewal/c.example.org.conf
		!certbot renew --force-renewal
		!certbot renew`},
	{name: "an unknown authenticator beside a good one", script: `
		certbot certonly $CA $ALONE -d a.example.org
		certbot certonly $CA $ALONE -d b.example.org
		sed -i 's/^authenticator = .*/authenticator = dns-nowhere/' config/renewal/a.example.org.conf
		!certbot renew --force-renewal
		sed -i '/^authenticator/d' config/renewal/a.example.org.conf
		!certbot renew --force-renewal`},
	{name: "links and files that are missing", script: `
		certbot certonly $CA $ALONE -d a.example.org
		certbot certonly $CA $ALONE -d b.example.org
		certbot certonly $CA $ALONE -d c.example.org
		rm config/live/a.example.org/chain.pem
		rm config/archive/b.example.org/cert1.pem
		!certbot renew --force-renewal
		certbot certificates > listing`},
	{name: "renew_before_expiry", script: `
		certbot certonly $CA $ALONE -d a.example.org
		sed -i 's/^# renew_before_expiry.*/renew_before_expiry = 10 years/' config/renewal/a.example.org.conf
		certbot renew
		sed -i 's/^renew_before_expiry.*/renew_before_expiry = 1 day/' config/renewal/a.example.org.conf
		certbot renew
		certbot certonly $CA $ALONE -d a.example.org`},
	{name: "autorenew off", script: `
		certbot certonly $CA $ALONE --no-autorenew -d a.example.org
		sed -i 's/^# renew_before_expiry.*/renew_before_expiry = 10 years/' config/renewal/a.example.org.conf
		certbot renew
		certbot renew --force-renewal`},
	{name: "autorenew off, certonly", script: `
		certbot certonly $CA $ALONE --no-autorenew -d a.example.org
		sed -i 's/^# renew_before_expiry.*/renew_before_expiry = 10 years/' config/renewal/a.example.org.conf
		certbot certonly $CA $ALONE -d a.example.org`},
	{name: "renew --dry-run", script: `
		certbot certonly $CA $ALONE -d a.example.org
		certbot certonly $CA --webroot -w $H/www -d w1.example.org --deploy-hook 'note deploy'
		certbot renew --dry-run --server $SERVER
		sed -i 's/^http01_port.*/http01_port = 1/' config/renewal/a.example.org.conf
		!certbot renew --dry-run --server $SERVER`},
	{name: "unknown keys and comments stay", script: `
		certbot certonly $CA $ALONE -d a.example.org
		sed -i '/^fullchain/a ours = 1' config/renewal/a.example.org.conf
		printf '\n# of nobody\n[mine]\nkey = "a # b"\n[[deeper]]\nx = y\n# last\n' >> config/renewal/a.example.org.conf
		certbot renew --force-renewal
		certbot certonly $CA $ALONE -d a.example.org --force-renewal`},
	{name: "a renew_before_expiry that makes no sense", script: `
		certbot certonly $CA $ALONE -d a.example.org
		sed -i 's/^# renew_before_expiry.*/renew_before_expiry = soon/' config/renewal/a.example.org.conf
		certbot renew --force-renewal
		sed -i 's/^renew_before_expiry.*/renew_before_expiry = 8 hours/' config/renewal/a.example.org.conf
		certbot renew`},
	{name: "a CA that is gone beside a good one", script: `
		certbot certonly $CA $ALONE -d a.example.org
		certbot certonly $CA $ALONE -d b.example.org
		sed -i 's,^server = .*,server = https://127.0.0.1:1/dir,' config/renewal/a.example.org.conf
		!certbot renew --force-renewal`},
	{name: "what an admin put there stays", script: `
		certbot certonly $CA $ALONE -d a.example.org
		cat config/live/a.example.org/fullchain.pem > config/live/a.example.org/site.pem
		ln -s ../../archive/a.example.org/cert1.pem config/live/a.example.org/first.pem
		echo mine > config/archive/a.example.org/notes.txt
		rm config/live/a.example.org/README config/live/README
		chmod 750 config/live/a.example.org config/archive/a.example.org
		certbot renew --force-renewal
		certbot certonly $CA $ALONE -d b.example.org
		certbot delete --cert-name a.example.org`},
	{name: "absolute links", script: `
		certbot certonly $CA $ALONE -d a.example.org
		for kind in cert chain fullchain privkey; do ln -sf $H/config/archive/a.example.org/${kind}1.pem config/live/a.example.org/$kind.pem; done
		certbot renew --force-renewal
		certbot certificates > listing`},
	{name: "an archive elsewhere", script: `
		certbot certonly $CA $ALONE -d a.example.org
		mkdir elsewhere && mv config/archive/a.example.org elsewhere/
		sed -i "s,^archive_dir = .*,archive_dir = $H/elsewhere/a.example.org," config/renewal/a.example.org.conf
		for kind in cert chain fullchain privkey; do ln -sf $H/elsewhere/a.example.org/${kind}1.pem config/live/a.example.org/$kind.pem; done
		certbot renew --force-renewal
		certbot certificates > listing`},
	// Not compared: since its release 2.3 Certbot keeps five old versions.
	{name: "the first broken versions", script: `
		certbot certonly $CA $ALONE -d a.example.org
		cp -p config/archive/a.example.org/cert1.pem config/archive/a.example.org/cert2.pem
		cp -p config/archive/a.example.org/cert1.pem config/archive/a.example.org/cert4.pem
		certbot renew --force-renewal`},
}

// hooks is about which hooks run when, and with what. Where several lineages are
// renewed, what the hooks noted is sorted by kind: certbot works through one lineage
// after the other, vidimus runs the pre hooks of all before it orders.
var hooks = []scenario{
	{name: "hooks of certonly", script: `
		certbot certonly $CA $ALONE -d a.example.org --pre-hook 'note pre' --post-hook 'note post' --deploy-hook 'note deploy'
		certbot certonly $CA $ALONE -d a.example.org --pre-hook 'note pre' --post-hook 'note post' --deploy-hook 'note deploy'
		certbot certonly $CA $ALONE -d a.example.org --force-renewal --pre-hook 'note pre' --post-hook 'note post' --deploy-hook 'note deploy'
		!certbot certonly $CA $ALONE -d refused.example.org --pre-hook 'note pre' --post-hook 'note post' --deploy-hook 'note deploy'`},
	{name: "hooks that are saved and shared", script: `
		certbot certonly $CA $ALONE -d a.example.org --pre-hook 'note pre' --post-hook 'note post' --deploy-hook 'note deploy a'
		certbot certonly $CA $ALONE -d b.example.org --pre-hook 'note pre' --post-hook 'note post' --deploy-hook 'note deploy b'
		certbot certonly $CA $ALONE -d c.example.org --pre-hook 'note pre c' --post-hook 'note post c' --renew-hook 'note renew c'
		rm notes
		certbot renew
		certbot renew --force-renewal; sort -s -k1,1 -o notes notes
		certbot renew --force-renewal --deploy-hook 'note deploy of all' --cert-name a.example.org; sort -s -k1,1 -o notes notes`},
	{name: "hooks of directories", script: `
		certbot certonly $CA $ALONE -d a.example.org
		for kind in pre deploy post; do for n in 10-b 05-a 20-c~ 30-no; do printf '#!/bin/sh\nnote %s %s\n' $kind $n > config/renewal-hooks/$kind/$n; chmod 755 config/renewal-hooks/$kind/$n; done; chmod 644 config/renewal-hooks/$kind/30-no; done
		mkdir config/renewal-hooks/deploy/40-dir
		ln -s ../pre/05-a config/renewal-hooks/pre/50-link
		certbot renew
		certbot renew --force-renewal
		certbot renew --force-renewal --no-directory-hooks
		certbot renew --force-renewal --pre-hook $H/config/renewal-hooks/pre/05-a --deploy-hook $H/config/renewal-hooks/deploy/10-b --post-hook $H/config/renewal-hooks/post/10-b`},
	{name: "hooks after failures", script: `
		certbot certonly $CA $ALONE -d a.example.org,c.example.org --deploy-hook 'note deploy a'
		certbot certonly $CA $ALONE -d b.example.org --deploy-hook 'note deploy b'
		sed -i 's/^http01_port.*/http01_port = 1/' config/renewal/a.example.org.conf
		!certbot renew --force-renewal --pre-hook 'note pre' --post-hook 'note post'
		!certbot renew --force-renewal --cert-name a.example.org --pre-hook 'note pre' --post-hook 'note post'`},
	{name: "hooks that fail", script: `
		certbot certonly $CA $ALONE -d a.example.org --pre-hook 'note pre; exit 1' --post-hook 'note post; exit 2' --deploy-hook 'note deploy; exit 3'
		certbot renew --force-renewal`},
	{name: "hooks that are not there", script: `
		!certbot certonly $CA $ALONE -d a.example.org --pre-hook /no/such/hook
		!certbot certonly $CA $ALONE -d a.example.org --deploy-hook no-such-hook
		!certbot certonly $CA $ALONE -d a.example.org --post-hook $H/bin
		certbot certonly $CA $ALONE -d a.example.org --post-hook no-such-hook --disable-hook-validation
		certbot renew --force-renewal`},
	{name: "no deploy hooks in a dry run, unless wanted", script: `
		certbot certonly $CA $ALONE -d a.example.org --pre-hook 'note pre' --post-hook 'note post' --deploy-hook 'note deploy'
		rm notes
		certbot renew --dry-run --server $SERVER`},
	{name: "what hooks say", script: `
		certbot certonly $CA $ALONE -d a.example.org --pre-hook 'echo said by pre; echo wrong >&2' --deploy-hook 'echo said by deploy' > out; grep 'said by' out > said; rm out
		certbot renew --quiet --force-renewal > quiet`},
}

// takingOver has each program go on with what the other one made.
var takingOver = []scenario{
	{name: "standalone in turns", script: `
		certbot certonly $CA $ALONE -d a.example.org,b.example.org --deploy-hook 'note deploy'
		other renew --force-renewal
		certbot renew --force-renewal
		other certonly $CA $ALONE -d a.example.org,b.example.org,c.example.org --expand
		certbot certificates > listing
		other certificates > listing2
		other revoke --cert-name a.example.org`},
	{name: "webroot in turns", script: `
		certbot certonly $CA --webroot -w $H/www -d w1.example.org -w $H/www2 -d w2.example.org
		other renew --force-renewal
		certbot renew --force-renewal
		other certonly $CA --webroot -w $H/www2 -d w1.example.org,w2.example.org --force-renewal
		certbot delete --cert-name w1.example.org`},
	{name: "manual http-01 in turns", script: `
		certbot certonly $CA $HTTP -d w1.example.org,w2.example.org; sort -o notes notes
		other renew --force-renewal && sort -o notes notes
		certbot renew --force-renewal && sort -o notes notes`},
	{name: "manual dns-01 in turns", script: `
		certbot certonly $CA $TXT -d a.example.org,*.b.example.org; sort -o notes notes
		other renew --force-renewal && sort -o notes notes
		certbot renew --force-renewal && sort -o notes notes`},
	{name: "an account of the other", script: `
		certbot register $CA
		other show_account --server $SERVER | grep -v Thumbprint > shown
		other certonly $CA $ALONE -d a.example.org
		certbot certonly $CA $ALONE -d b.example.org
		other unregister --server $SERVER
		!certbot certonly --server $SERVER $ALONE -d c.example.org`},
}
