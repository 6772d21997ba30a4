package cli

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"vidimus/internal/identifier"
)

func (o *options) certOptions() []*option {
	return []*option{
		{"domains domain", "d", "DOMAIN", "domains", certs, "a name to be certified; several with commas, or with several -d. The first one names the certificate", o.addDomains},
		{"ip-address", "", "ADDRESS", "ip_addresses", certs, "an IP address to be certified; several with several --ip-address. Let's Encrypt wants --preferred-profile shortlived with it", o.addAddress},
		{"cert-name", "", "CERTNAME", "certname", certs, "the name of the certificate, under which it is found on this machine", store(&o.CertName)},
		{"csr", "", "FILE", "csr", certs, "with certonly: certify what this request (PEM or DER) asks for. The certificate is not renewed by 'renew'", store(&o.csrFile)},
		{"force-renewal renew-by-default", "", "", "renew_by_default", certs, "renew even what is not due; implies --expand", flag(&o.ForceRenewal, true)},
		{"keep-until-expiring keep reinstall", "", "", "reinstall", certs, "keep a certificate for the same names until it is due, without asking", flag(&o.keep, true)},
		{"expand", "", "", "expand", certs, "replace a certificate whose names are some of those asked for, without asking", flag(&o.Expand, true)},
		{"renew-with-new-domains", "", "", "renew_with_new_domains", certs, "give the certificate --cert-name other names, without asking", flag(&o.newDomains, true)},
		{"duplicate", "", "", "duplicate", certs, "make another certificate beside one for the same names", flag(&o.duplicate, true)},
		{"allow-subset-of-names", "", "", "allow_subset_of_names", certs, "get a certificate without the names of which control can't be proved", flag(&o.AllowSubset, true)},
		{"must-staple", "", "", "must_staple", certs, "ask for the OCSP Must-Staple extension (RFC 7633)", flag(&o.MustStaple, true)},
		{"required-profile", "", "NAME", "required_profile", certs, "the CA's profile for the certificate; an error when it has none of that name", store(&o.RequiredProfile)},
		{"preferred-profile", "", "NAME", "preferred_profile", certs, "the same, where the CA has a profile of that name", store(&o.PreferredProfile)},
		{"preferred-chain", "", "NAME", "preferred_chain", certs, "where the CA offers several chains: the one whose topmost certificate was issued by this common name", store(&o.PreferredChain)},
		{"no-autorenew", "", "", "autorenew", certs, "do not renew this certificate with 'renew'", flag(&o.Autorenew, false)},
		{"autorenew", "", "", "autorenew", certs, "renew it with 'renew' (the default)", flag(&o.Autorenew, true)},
		{"issuance-timeout", "", "SECONDS", "issuance_timeout", certs, "how long to wait for the CA to issue (90)", o.setTimeout},
		{"parallel", "", "N", "parallel", certs, "how many orders 'renew' runs at the same time at each CA, 1 to 64 (8)", number(&o.parallel, 1, 64)},
		{"no-random-sleep-on-renew", "", "", "random_sleep_on_renew", certs, "do not wait a random time before a renewal that nobody watches", flag(&o.noRandomSleep, true)},
		{"json", "", "", "json", certs, "print what 'certificates', 'plugins', 'renew' and 'show_account' tell as JSON", flag(&o.json, true)},
	}
}

func (o *options) keyOptions() []*option {
	return []*option{
		{"key-type", "", "TYPE", "key_type", keys, "rsa or ecdsa (ecdsa)", oneOf(&o.KeyType, "rsa", "ecdsa")},
		{"rsa-key-size", "", "BITS", "rsa_key_size", keys, "of an RSA key (2048)", number(&o.RSAKeySize, 2048, 8192)},
		{"elliptic-curve", "", "CURVE", "elliptic_curve", keys, "secp256r1, secp384r1 or secp521r1 (secp256r1)", oneOf(&o.EllipticCurve, "secp256r1", "secp384r1", "secp521r1")},
		{"reuse-key", "", "", "reuse_key", keys, "renew with the same private key", flag(&o.ReuseKey, true)},
		{"no-reuse-key", "", "", "reuse_key", keys, "renew with a new private key each time (the default)", flag(&o.ReuseKey, false)},
		{"new-key", "", "", "new_key", keys, "make a new private key this once, in spite of --reuse-key", flag(&o.NewKey, true)},
	}
}

func (o *options) setTimeout(v string) error {
	var secs int
	err := number(&secs, 1, 86400)(v)
	o.timeout = time.Duration(secs) * time.Second
	return err
}

func (o *options) addDomains(v string) error {
	for name := range strings.SplitSeq(v, ",") {
		id, err := parseDomain(strings.TrimSpace(name))
		if err != nil {
			return err
		}
		o.addIdentifier(id)
	}
	return nil
}

func parseDomain(name string) (identifier.Identifier, error) {
	if _, err := netip.ParseAddr(name); err == nil {
		return identifier.Identifier{}, fmt.Errorf("%s is an IP address: give it with --ip-address", name)
	}
	return identifier.ParseLocal(name)
}

func (o *options) addAddress(v string) error {
	addr, err := netip.ParseAddr(v)
	if err != nil || addr.Zone() != "" {
		return fmt.Errorf("%q is not an IP address: give names with -d", v)
	}
	o.addIdentifier(identifier.Identifier{Type: identifier.IP, Value: addr.Unmap().String()})
	return nil
}

func (o *options) addIdentifier(id identifier.Identifier) {
	if !slices.Contains(o.Domains, id) {
		o.Domains = append(o.Domains, id)
	}
}

// reasons are those of RFC 5280 §5.3.1 that a subscriber may give.
var reasons = map[string]int{"unspecified": 0, "keycompromise": 1, "affiliationchanged": 3, "superseded": 4, "cessationofoperation": 5}

func (o *options) setReason(v string) error {
	r, ok := reasons[strings.ToLower(v)]
	if !ok {
		return errors.New("choose from unspecified, keycompromise, affiliationchanged, superseded, cessationofoperation")
	}
	o.reason = r
	return nil
}
