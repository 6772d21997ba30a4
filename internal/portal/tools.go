package portal

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"path"
	"slices"
	"strings"
	"text/template"
)

// tool is a client, and what to tell it so that it gets a certificate by an ACME-ID.
type tool struct {
	Name   string
	blocks []block
	// wildcards tells whether it takes wildcards without being set up for DNS.
	wildcards bool
}

// block is a piece of text to copy: commands, or a file's content. text is a template over
// [toolData], whose functions quote by the rules of the language: sh, yaml, conf (Apache,
// nginx, Caddy), win.
type block struct {
	file string // to put it into; "" for commands
	or   bool   // in place of the block before
	lang string // sh, yaml, conf or win
	text string
}

// toolData is what the texts are made with.
type toolData struct {
	URL, KID, HMAC string
	Main           string   // the name that comes first
	Names          []string // all, with Main
	Email          string
	Root           string // file with the root to trust, on the client; "" where it is trusted already
	RootPEM        string
	RootName       string // of the file that a browser saves
}

// tools are the clients, in the order of the page.
var tools = []tool{
	{Name: "Certbot", wildcards: true, blocks: []block{{lang: "sh", text: `{{with .Root}}REQUESTS_CA_BUNDLE={{sh .}} {{end}}certbot certonly --standalone --server {{sh .URL}} --eab-kid {{sh .KID}} --eab-hmac-key {{sh .HMAC}} --agree-tos {{with .Email}}-m {{sh .}}{{else}}--register-unsafely-without-email{{end}} --non-interactive{{range .Names}} -d {{sh .}}{{end}}
`}}},
	{Name: "vidimus", wildcards: true, blocks: []block{{lang: "sh", text: `(umask 077; printf '%s\n' {{sh .HMAC}} > eab-hmac-key)
{{with .Root}}REQUESTS_CA_BUNDLE={{sh .}} {{end}}vidimus certonly --standalone --server {{sh .URL}} --eab-kid {{sh .KID}} --eab-hmac-key-file eab-hmac-key --agree-tos {{with .Email}}-m {{sh .}}{{else}}--register-unsafely-without-email{{end}} --non-interactive{{range .Names}} -d {{sh .}}{{end}}
rm eab-hmac-key
`}}},
	{Name: "acme.sh", wildcards: true, blocks: []block{{lang: "sh", text: `acme.sh --register-account --server {{sh .URL}} --eab-kid {{sh .KID}} --eab-hmac-key {{sh .HMAC}}{{with .Email}} -m {{sh .}}{{end}}{{with .Root}} --ca-bundle {{sh .}}{{end}}
acme.sh --issue --standalone --server {{sh .URL}}{{with .Root}} --ca-bundle {{sh .}}{{end}}{{range .Names}} -d {{sh .}}{{end}}
`}}},
	{Name: "lego 4", wildcards: true, blocks: []block{{lang: "sh", text: `{{with .Root}}LEGO_CA_CERTIFICATES={{sh .}} {{end}}lego --server {{sh .URL}} --accept-tos --email {{sh (or .Email (printf "hostmaster@%s" .Main))}} --eab --kid {{sh .KID}} --hmac {{sh .HMAC}} --http{{range .Names}} --domains {{sh .}}{{end}} run
`}}},
	{Name: "dehydrated", wildcards: true, blocks: []block{
		{file: "/etc/dehydrated/conf.d/vidimus.sh", lang: "sh", text: `CA={{sh .URL}}
EAB_KID={{sh .KID}}
EAB_HMAC_KEY={{sh .HMAC}}
CHALLENGETYPE=http-01
WELLKNOWN=/var/lib/dehydrated/acme-challenges
{{with .Email}}CONTACT_EMAIL={{sh .}}
{{end}}{{with .Root}}CURL_OPTS={{sh (printf "--cacert %s" .)}}
{{end}}`},
		{lang: "sh", text: `mkdir -p /var/lib/dehydrated/acme-challenges
printf '%s\n' {{sh .Line}} >> /etc/dehydrated/domains.txt
dehydrated --register --accept-terms
dehydrated --cron
`}}},
	{Name: "Caddy", blocks: []block{{file: "Caddyfile", lang: "conf", text: `{
	acme_ca {{conf .URL}}{{with .Root}}
	acme_ca_root {{conf .}}{{end}}
	acme_eab {
		key_id {{conf .KID}}
		mac_key {{conf .HMAC}}
	}{{with .Email}}
	email {{conf .}}{{end}}
}

{{range $i, $n := .Names}}{{if $i}}, {{end}}{{$n}}{{end}} {
	respond "It works."
}
`}}},
	{Name: "Traefik", blocks: []block{
		{file: "traefik.yaml", lang: "yaml", text: `entryPoints:
  web: {address: ":80"}
  websecure: {address: ":443"}
certificatesResolvers:
  vidimus:
    acme:
      caServer: {{yaml .URL}}
      email: {{yaml (or .Email (printf "hostmaster@%s" .Main))}}
      storage: /etc/traefik/acme.json
      eab:
        kid: {{yaml .KID}}
        hmacEncoded: {{yaml .HMAC}}{{with .Root}}
      caCertificates: [{{yaml .}}]{{end}}
      httpChallenge: {entryPoint: web}
`},
		{file: "dynamic.yaml", lang: "yaml", text: `http:
  routers:
    my-site:
      rule: {{yaml .Rule}}
      entryPoints: [websecure]
      service: my-service
      tls:
        certResolver: vidimus
        domains:
          - main: {{yaml .Main}}
            sans: [{{range $i, $n := .Others}}{{if $i}}, {{end}}{{yaml $n}}{{end}}]
`}}},
	{Name: "cert-manager", blocks: []block{{file: "vidimus.yaml", lang: "yaml", text: `apiVersion: v1
kind: Secret
metadata: {name: vidimus-eab, namespace: cert-manager}
stringData:
  hmac-key: {{yaml .HMAC}}
---
apiVersion: cert-manager.io/v1
kind: ClusterIssuer
metadata: {name: vidimus}
spec:
  acme:
    server: {{yaml .URL}}{{with .Email}}
    email: {{yaml .}}{{end}}{{with .RootBase64}}
    caBundle: {{yaml .}}{{end}}
    privateKeySecretRef: {name: vidimus-account}
    externalAccountBinding:
      keyID: {{yaml .KID}}
      keySecretRef: {name: vidimus-eab, key: hmac-key}
    solvers:
      - http01: {ingress: {ingressClassName: nginx}}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: {{yaml .Main}}, namespace: default}
spec:
  secretName: {{yaml (printf "%s-tls" .Main)}}
  issuerRef: {name: vidimus, kind: ClusterIssuer}
  dnsNames: [{{range $i, $n := .Names}}{{if $i}}, {{end}}{{yaml $n}}{{end}}]
`}}},
	{Name: "Apache (mod_md)", wildcards: true, blocks: []block{{file: "/etc/apache2/conf-available/vidimus.conf", lang: "conf", text: `MDCertificateAuthority {{conf .URL}}
MDCertificateAgreement accepted
MDExternalAccountBinding {{conf .KID}} {{conf .HMAC}}{{with .Email}}
MDContactEmail {{conf .}}{{end}}{{with .Root}}
MDCACertificateFile {{conf .}}{{end}}
MDomain{{range .Names}} {{conf .}}{{end}}

<VirtualHost *:443>
    ServerName {{.Main}}
    SSLEngine on
</VirtualHost>
`}, {lang: "sh", text: `a2enmod md ssl && a2enconf vidimus && systemctl restart apache2
`}}},
	{Name: "nginx", blocks: []block{
		{file: "/etc/nginx/conf.d/vidimus.conf", lang: "conf", text: `resolver 127.0.0.53; # yours
acme_issuer vidimus {
    uri {{conf .URL}};
    external_account_key {{conf .KID}} {{conf (printf "data:%s" .HMAC)}};{{with .Email}}
    contact {{conf .}};{{end}}{{with .Root}}
    ssl_trusted_certificate {{conf .}};{{end}}
    state_path /var/cache/nginx/acme-vidimus;
    accept_terms_of_service;
}
acme_shared_zone zone=ngx_acme_shared:1M;

server {
    listen 443 ssl;
    server_name{{range .Names}} {{.}}{{end}};
    acme_certificate vidimus{{range .Names}} {{.}}{{end}};
    ssl_certificate $acme_certificate;
    ssl_certificate_key $acme_certificate_key;
}
server {
    listen 80; # the module wants it
}
`},
		{or: true, lang: "sh", text: `{{with .Root}}REQUESTS_CA_BUNDLE={{sh .}} {{end}}certbot --nginx --server {{sh .URL}} --eab-kid {{sh .KID}} --eab-hmac-key {{sh .HMAC}} --agree-tos {{with .Email}}-m {{sh .}}{{else}}--register-unsafely-without-email{{end}} --non-interactive{{range .Names}} -d {{sh .}}{{end}}
`}}},
	{Name: "win-acme", blocks: []block{{lang: "win", text: `{{with .Root}}certutil -addstore Root {{win $.RootName}}
{{end}}wacs.exe --baseuri {{win .URL}} --eab-key-identifier {{win .KID}} --eab-key {{win .HMAC}} --accepttos{{with .Email}} --emailaddress {{win .}}{{end}} --source manual --host {{win .Comma}} --validation selfhosting --store certificatestore
`}}},
}

// Rule is the names as a rule of Traefik.
func (d toolData) Rule() string {
	hosts := make([]string, len(d.Names))
	for i, n := range d.Names {
		hosts[i] = "Host(`" + n + "`)"
	}
	return strings.Join(hosts, " || ")
}

// Others are the names but Main.
func (d toolData) Others() []string { return d.Names[1:] }

// Comma is the names as a list.
func (d toolData) Comma() string { return strings.Join(d.Names, ",") }

// RootBase64 is the root to trust as Kubernetes wants it; "" where it is trusted already.
func (d toolData) RootBase64() string {
	if d.Root == "" {
		return ""
	}
	return base64.StdEncoding.EncodeToString([]byte(d.RootPEM))
}

// Line is the names as dehydrated lists them: with an alias where a wildcard comes first.
func (d toolData) Line() string {
	line := strings.Join(d.Names, " ")
	if base, ok := strings.CutPrefix(d.Main, "*."); ok {
		line += " > " + base
	}
	return line
}

// shownTool is a tool with its texts.
type shownTool struct {
	Name      string
	Blocks    []shownBlock
	Left      int  // names that are not in them, as a certificate has at most namesTogether
	Wildcards bool // some are not in them, as the tool needs to be set up for DNS for these
}

type shownBlock struct {
	File, Text string
	Or         bool // in place of the block before
}

// namesTogether is how many names the texts have at most.
const namesTogether = 100

// rootFile is where the texts expect the root that clients have to be told to trust.
const rootFile = "/usr/local/share/ca-certificates/vidimus-root.crt"

// toolsFor makes the texts for an ACME-ID of the host fqdn that may manage names. It leaves
// out a tool that can have none of them.
func toolsFor(d ACMEDirectory, kid, hmac, email, fqdn string, names []string) (all []shownTool) {
	for _, x := range tools {
		mine := slices.Clone(names)
		if !x.wildcards {
			mine = slices.DeleteFunc(mine, func(n string) bool { return strings.HasPrefix(n, "*.") })
		}
		s := shownTool{Name: x.Name, Wildcards: len(mine) < len(names)}
		if i := slices.Index(mine, fqdn); i > 0 {
			mine[0], mine[i] = mine[i], mine[0]
		}
		if len(mine) > namesTogether {
			s.Left = len(mine) - namesTogether
			mine = mine[:namesTogether]
		}
		if len(mine) == 0 {
			continue
		}
		data := toolData{URL: d.URL, KID: kid, HMAC: hmac, Main: mine[0], Names: mine, Email: email, RootPEM: d.RootPEM, RootName: path.Base(d.Root)}
		if d.Private {
			data.Root = rootFile
		}
		for _, b := range x.blocks {
			s.Blocks = append(s.Blocks, shownBlock{b.file, b.with(data), b.or})
		}
		all = append(all, s)
	}
	return all
}

// with is the text of a block. The templates are the program's own, and tests run them all.
func (b block) with(d toolData) string {
	t := template.Must(template.New("tool").Funcs(template.FuncMap{"sh": quoteShell, "yaml": quoteYAML, "conf": quoteConf, "win": quoteWindows}).Parse(b.text))
	var out bytes.Buffer
	if err := t.Execute(&out, d); err != nil {
		panic("portal: " + err.Error())
	}
	return out.String()
}

// plain tells whether every character of s means itself in each of the languages.
func plain(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@,+") == "" && !strings.HasPrefix(s, "-")
}

// quoteShell is s as one word of a POSIX shell.
func quoteShell(s string) string {
	if plain(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// quoteYAML is s as a string of YAML, which takes those of JSON.
func quoteYAML(s string) string {
	data, _ := json.Marshal(s) // which can't fail
	return string(data)
}

// quoteConf is s as one word of Apache's, nginx's or Caddy's configuration.
func quoteConf(s string) string {
	if plain(s) {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", " ").Replace(s) + `"`
}

// quoteWindows is s as one argument at the prompts of Windows; what they would replace is
// not in names, keys or URLs, and left out.
func quoteWindows(s string) string {
	return `"` + strings.NewReplacer(`"`, "", "`", "", "$", "", "%", "", "\n", "").Replace(s) + `"`
}
