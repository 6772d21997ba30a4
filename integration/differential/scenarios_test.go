package differential

// obtaining is about certonly: which certificate, which lineage, which proof.
var obtaining = []scenario{
	{name: "standalone, several names, kept and renewed", script: `
		certbot certonly $CA $ALONE -d a.example.org,b.example.org -d c.example.org
		certbot certonly $CA $ALONE -d a.example.org,b.example.org -d c.example.org
		certbot certonly $CA $ALONE --keep -d a.example.org,b.example.org,c.example.org
		certbot certonly $CA $ALONE --force-renewal -d c.example.org,b.example.org,a.example.org
		certbot certificates > listing`},
	{name: "expand", script: `
		certbot certonly $CA $ALONE -d a.example.org
		certbot certonly $CA $ALONE --expand -d a.example.org,b.example.org
		!certbot certonly $CA $ALONE -d a.example.org,b.example.org,c.example.org
		certbot certonly $CA $ALONE --force-renewal -d a.example.org,b.example.org,c.example.org`},
	{name: "duplicate", script: `
		certbot certonly $CA $ALONE -d a.example.org
		certbot certonly $CA $ALONE --duplicate -d a.example.org
		certbot certonly $CA $ALONE --duplicate -d a.example.org,b.example.org
		certbot certificates > listing`},
	{name: "cert-name with other names", script: `
		certbot certonly $CA $ALONE --cert-name mine -d a.example.org
		certbot certonly $CA $ALONE --cert-name mine -d b.example.org
		certbot certonly $CA $ALONE --cert-name mine --renew-with-new-domains -d b.example.org,a.example.org
		certbot certonly $CA $ALONE --cert-name mine -d a.example.org,b.example.org
		certbot certonly $CA $ALONE --cert-name mine --force-renewal
		!certbot certonly $CA $ALONE --cert-name nobody`},
	{name: "a name taken by another lineage", script: `
		certbot certonly $CA $ALONE --cert-name a.example.org -d b.example.org
		certbot certonly $CA $ALONE -d a.example.org
		certbot certificates -d a.example.org > listing
		certbot certificates --cert-name a.example.org > listing2`},
	{name: "webroot, one directory", script: `
		certbot certonly $CA --webroot -w $H/www -d w1.example.org,w2.example.org
		certbot renew --force-renewal`},
	{name: "webroot, several directories", script: `
		certbot certonly $CA --webroot -w $H/www -d w1.example.org -d w2.example.org -w $H/www2 -d w3.example.org
		certbot certonly $CA --webroot -w $H/www2 -d w4.example.org`},
	{name: "webroot-map", script: `
		certbot certonly $CA --webroot --webroot-map '{"w1.example.org,w2.example.org":"'$H/www'","w3.example.org":"'$H/www2'"}'
		echo '{"w4.example.org": "'$H/www'"}' > map.json
		certbot certonly $CA --webroot --webroot-map "$(cat map.json)" -d w4.example.org
		certbot renew --force-renewal`},
	{name: "webroot without a directory", script: `
		!certbot certonly $CA --webroot -d w1.example.org
		!certbot certonly $CA --webroot -w $H/nowhere -d w1.example.org
		!certbot certonly $CA --webroot -d w1.example.org -w $H/www -d w2.example.org -w $H/www2`},
	{name: "manual, http-01", script: `
		certbot certonly $CA $HTTP -d w1.example.org,w2.example.org && sort -o notes notes
		certbot renew --force-renewal && sort -o notes notes`},
	{name: "manual, dns-01 with a wildcard", script: `
		certbot certonly $CA $TXT -d a.example.org,*.b.example.org && sort -o notes notes
		certbot renew --force-renewal && sort -o notes notes`},
	{name: "manual without a hook", script: `
		!certbot certonly $CA --manual -d a.example.org
		!certbot certonly $CA --manual --manual-auth-hook /no/such/program -d a.example.org`},
	{name: "manual, hooks that fail", script: `
		!certbot certonly $CA --manual --preferred-challenges http --manual-auth-hook 'http-auth x; exit 3' --manual-cleanup-hook 'http-cleanup x; exit 5' -d refused.example.org
		certbot certonly $CA --manual --preferred-challenges http --manual-auth-hook 'http-auth x; exit 3' --manual-cleanup-hook 'http-cleanup x; exit 4' -d w1.example.org`},
	{name: "a wildcard by http", script: `
		!certbot certonly $CA $ALONE -d *.example.org
		!certbot certonly $CA --webroot -w $H/www -d w1.example.org,*.w1.example.org`},
	{name: "invalid names", script: `
		!certbot certonly $CA $ALONE -d a_b..example.org
		!certbot certonly $CA $ALONE -d 192.0.2.1
		!certbot certonly $CA $ALONE -d "a b.example.org"
		!certbot certonly $CA $ALONE -d -a.example.org
		!certbot certonly $CA $ALONE -d a.*.example.org
		!certbot certonly $CA $ALONE -d https://a.example.org/
		!certbot certonly $CA $ALONE -d $(printf a%.0s $(seq 70)).example.org
		!certbot certonly $CA $ALONE`},
	{name: "names in other forms", script: `
		certbot certonly $CA $ALONE -d A.Example.ORG -d b.example.org. --domain c.example.org --domains a.example.org`},
	{name: "a name that the CA refuses", script: `
		!certbot certonly $CA $ALONE -d a.example.org,blocked.example.org
		!certbot certonly $CA $ALONE -d refused.example.org
		certbot certificates > listing`},
	{name: "allow-subset-of-names", script: `
		certbot certonly $CA $ALONE --allow-subset-of-names -d a.example.org,refused.example.org,b.example.org
		certbot certonly $CA $ALONE --allow-subset-of-names -d refused.example.org,c.example.org --cert-name other
		!certbot certonly $CA $ALONE --allow-subset-of-names -d refused.example.org`},
	{name: "dry run", script: `
		certbot certonly --dry-run $CA $ALONE -d a.example.org
		certbot certonly $CA $ALONE -d a.example.org --deploy-hook 'note deploy' --pre-hook 'note pre' --post-hook 'note post'
		certbot certonly --dry-run --server $SERVER $ALONE -d a.example.org,b.example.org --expand
		certbot renew --dry-run --server $SERVER
		!certbot certonly --dry-run --server $SERVER $ALONE -d refused.example.org`},
	{name: "must-staple", script: `
		certbot certonly $CA $ALONE --must-staple -d a.example.org
		certbot renew --force-renewal`},
	{name: "preferred-chain", script: `
		certbot certonly $CA $ALONE --preferred-chain 'No Such Root' -d a.example.org
		certbot renew --force-renewal`},
	{name: "preferred-chain that the CA has", script: `
		curl -sk ${ROOTS}1 | openssl x509 -noout -subject -nameopt multiline | sed -n 's/.*commonName *= //p' > root
		certbot certonly $CA $ALONE --preferred-chain "$(cat root)" -d a.example.org
		certbot renew --force-renewal`},
	{name: "csr", script: `
		openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout my.key -out my.csr -subj /CN=a.example.org -addext subjectAltName=DNS:a.example.org,DNS:b.example.org
		openssl req -in my.csr -outform DER -out my.der
		mkdir out
		certbot certonly $CA $ALONE --csr my.csr --cert-path out/cert.pem --chain-path out/chain.pem --fullchain-path out/full.pem
		certbot certonly $CA $ALONE --csr my.der`},
	{name: "csr in the wrong place", script: `
		openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout my.key -out my.csr -subj /CN=a.example.org -addext subjectAltName=DNS:a.example.org
		!certbot certonly $CA $ALONE --csr my.csr -d other.example.org
		!certbot certonly $CA $ALONE --csr my.csr --allow-subset-of-names
		!certbot certonly $CA $ALONE --csr nowhere.csr
		!certbot certonly $CA $ALONE --csr my.key
		!certbot renew --csr my.csr`},
	{name: "several authenticators", script: `
		!certbot certonly $CA $ALONE --webroot -w $H/www -d a.example.org
		!certbot certonly $CA -a nowhere -d a.example.org
		certbot certonly $CA -a standalone --http-01-address 127.0.0.1 --http-01-port $PORT -d a.example.org`},
	{name: "challenges that an authenticator can't do", script: `
		!certbot certonly $CA $ALONE --preferred-challenges dns -d a.example.org
		!certbot certonly $CA $ALONE --preferred-challenges nonsense -d a.example.org
		certbot certonly $CA $ALONE --preferred-challenges dns,http -d a.example.org
		certbot certonly $CA $ALONE --preferred-challenges http-01 -d b.example.org`},
}

// keys is about private keys.
var keys = []scenario{
	{name: "rsa", script: `
		certbot certonly $CA $ALONE --key-type rsa -d a.example.org
		certbot renew --force-renewal
		certbot certonly $CA $ALONE --key-type rsa --rsa-key-size 3072 --force-renewal -d a.example.org
		!certbot certonly $CA $ALONE --key-type dsa -d b.example.org`},
	{name: "curves", script: `
		certbot certonly $CA $ALONE --elliptic-curve secp384r1 -d a.example.org
		certbot renew --force-renewal
		certbot certonly $CA $ALONE --elliptic-curve secp521r1 -d b.example.org
		!certbot certonly $CA $ALONE --elliptic-curve ed25519 -d c.example.org`},
	{name: "reuse-key", script: `
		certbot certonly $CA $ALONE --reuse-key -d a.example.org
		certbot renew --force-renewal
		certbot renew --force-renewal --new-key
		!certbot certonly $CA $ALONE --reuse-key --key-type rsa --force-renewal -d a.example.org
		certbot renew --force-renewal --no-reuse-key`},
	{name: "another key type", script: `
		certbot certonly $CA $ALONE --key-type rsa -d a.example.org
		certbot certonly $CA $ALONE --force-renewal -d a.example.org
		!certbot certonly $CA $ALONE --key-type ecdsa --force-renewal -d a.example.org
		certbot certonly $CA $ALONE --key-type ecdsa --cert-name a.example.org --force-renewal -d a.example.org
		certbot renew --force-renewal --key-type rsa`},
	{name: "new-key", script: `
		certbot certonly $CA $ALONE --reuse-key -d a.example.org
		certbot certonly $CA $ALONE --new-key --force-renewal -d a.example.org
		certbot certonly $CA $ALONE --force-renewal -d a.example.org`},
	{name: "modes are kept", script: `
		certbot certonly $CA $ALONE -d a.example.org
		chmod 640 config/archive/a.example.org/privkey1.pem
		chmod 600 config/renewal/a.example.org.conf
		chmod 755 config/live config/archive
		certbot renew --force-renewal`},
}

// managing is about what is there already, and about accounts.
var managing = []scenario{
	{name: "certificates", script: `
		certbot certificates > listing
		certbot certonly $CA $ALONE -d a.example.org,b.example.org
		certbot certonly $CA $ALONE -d c.example.org --key-type rsa
		certbot certificates > listing2
		echo broken > config/renewal/broken.conf
		certbot certificates > listing3
		certbot certificates -d c.example.org > listing4
		certbot certificates -d a.example.org -d b.example.org > listing5
		certbot certificates -d nobody.example.org > listing6`},
	{name: "delete", script: `
		certbot certonly $CA $ALONE -d a.example.org
		!certbot delete --cert-name nobody
		!certbot delete
		said Deleted certbot delete --cert-name a.example.org`},
	{name: "what scripts look for", script: `
		said registered certbot register $CA
		said 'Success|saved at|expires on|Requesting' certbot certonly $CA $ALONE -d a.example.org,b.example.org
		said 'not yet due|No renewals|No hooks|skipped|expires on' certbot renew --post-hook 'note post'
		said 'success|succeeded|Renewing' certbot renew --force-renewal
		!said '  (Type|Domain): ' certbot certonly $CA $ALONE -d refused.example.org
		said successfully certbot revoke --cert-name a.example.org
		said deactivated certbot unregister --server $SERVER`},
	{name: "logs", script: `
		certbot certificates
		certbot certificates
		certbot certificates
		ls logs > list
		certbot certificates --max-log-backups 1
		ls logs > list2
		certbot certificates --max-log-backups 0
		ls logs > list3
		!certbot certificates --max-log-backups -1`},
	{name: "revoke by name", script: `
		certbot certonly $CA $ALONE -d a.example.org
		!certbot revoke --cert-name nobody $CA
		!certbot revoke
		certbot revoke --cert-name a.example.org --reason superseded --no-delete-after-revoke
		!certbot revoke --cert-name a.example.org
		certbot delete --cert-name a.example.org`},
	{name: "revoke by path", script: `
		certbot certonly $CA $ALONE -d a.example.org
		!certbot revoke --cert-path $H/config/live/a.example.org/cert.pem --reason nonsense --server $SERVER
		certbot revoke --cert-path $H/config/live/a.example.org/cert.pem --server $SERVER`},
	{name: "revoke by key", script: `
		certbot certonly $CA $ALONE -d a.example.org
		cp config/live/a.example.org/cert.pem config/live/a.example.org/privkey.pem .
		certbot delete --cert-name a.example.org
		certbot revoke --cert-path cert.pem --key-path privkey.pem --server $SERVER --reason keycompromise --no-delete-after-revoke`},
	{name: "register and unregister", script: `
		!certbot show_account --server $SERVER
		!certbot register --server $SERVER -m admin@example.org --no-eff-email
		certbot register $CA
		!certbot register $CA
		certbot unregister --server $SERVER
		!certbot unregister --server $SERVER
		certbot register --server $SERVER --agree-tos --register-unsafely-without-email`},
	{name: "update_account", script: `
		!certbot update_account --server $SERVER -m other@example.org --no-eff-email
		certbot register $CA
		certbot update_account --server $SERVER -m other@example.org --no-eff-email
		certbot update_account --server $SERVER -m one@example.org,two@example.org --no-eff-email
		certbot show_account --server $SERVER | grep -v Thumbprint > shown
		certbot update_account --server $SERVER --register-unsafely-without-email
		certbot show_account --server $SERVER | grep -v Thumbprint > shown`},
	{name: "accounts that can't be", script: `
		!certbot register --server $SERVER --agree-tos -m not-an-address --no-eff-email
		!certbot certonly --server $SERVER $ALONE -d a.example.org
		!certbot certonly $CA --account 00000000000000000000000000000000 $ALONE -d a.example.org
		!certbot register --agree-tos -m a@example.org --server http://127.0.0.1:1/dir --no-eff-email`},
	{name: "run, install and enhance without an installer", script: `
		!certbot $CA $ALONE -d a.example.org
		!certbot install
		!certbot enhance --redirect`},
	{name: "wrong command lines", script: `
		!certbot nonsense
		!certbot renew certonly
		!certbot certonly --no-such-option
		!certbot certonly --http-01-port many -d a.example.org
		!certbot certonly --server
		!certbot certonly -d a.example.org --e`},
	{name: "beginnings of options", script: `
		certbot certonly $CA --standal --http-01-add 127.0.0.1 --http-01-po $PORT --domain a.example.org --cert-n mine
		certbot renew --force-ren
		!certbot renew --no`},
	{name: "options saved for renewals", script: `
		certbot certonly $CA $ALONE -d a.example.org --user-agent Agent/1 --preferred-challenges http --rsa-key-size 4096 --no-autorenew --pre-hook 'note "a, b" # c' --post-hook "note '100% sure'" --deploy-hook 'note $RENEWED_LINEAGE'
		certbot certonly $CA $ALONE -d b.example.org --renew-hook 'note renew' --user-agent-comment hello --issuance-timeout 60
		certbot renew --force-renewal --cert-name b.example.org --pre-hook 'note other'
		certbot renew --force-renewal --http-01-address 127.0.0.1; sort -s -k1,1 -o notes notes`},
	{name: "cli.ini", script: `
		mkdir -p $H/letsencrypt
		printf '# ours\nserver = %s\nagree-tos = true\nemail = admin@example.org\nno-eff-email = true\nhttp-01-port = %s\n' $SERVER $PORT > $H/letsencrypt/cli.ini
		printf 'authenticator = standalone\nkey-type = rsa\ndeploy-hook = note deployed\n' > my.ini
		certbot certonly --config $H/my.ini --http-01-address 127.0.0.1 -d a.example.org
		certbot renew --force-renewal
		printf 'domains = a.example.org, b.example.org\nexpand = True\nno-autorenew\n' > my2.ini
		certbot certonly --config $H/my2.ini $ALONE
		printf 'no-such-option = 1\n' > my3.ini
		!certbot certonly --config $H/my3.ini $ALONE -d c.example.org
		!certbot certonly --config $H/nowhere.ini $ALONE -d c.example.org`},
}
