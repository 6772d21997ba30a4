package renewal

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"vidimus/internal/certificate"
	"vidimus/internal/identifier"
	"vidimus/internal/issuance"
	"vidimus/internal/lineage"
	"vidimus/internal/settings"
)

// Obtainer gets certificates from CAs and puts them into use. Its methods are about
// one lineage each and run no hooks of a renewal; they may be used by many goroutines
// for different lineages.
type Obtainer struct {
	Store       lineage.Store
	Connections *Connections
	Notes       Notes
	Answers     *Answers // nil remembers nothing
	Provers     Provers
	Log         *slog.Logger
	Timeout     time.Duration // for a CA to issue
	Now         func() time.Time
}

// Ready checks what an order needs: the authenticator, the CA and the account, which
// it notes in the settings. Call it before hooks stop anything.
func (o *Obtainer) Ready(ctx context.Context, set *settings.Settings) error {
	if _, err := o.Provers.For(set); err != nil {
		return err
	}
	if _, err := o.Connections.CA(ctx, set.Server); err != nil {
		return err
	}
	acc, err := o.Connections.Account(ctx, set.Server, set.Account)
	set.Account = acc.ID
	return err
}

// Issued is a new certificate.
type Issued struct {
	lineage.Material
	LeftOut []issuance.Failure // the names that the CA did not certify, with --allow-subset-of-names
	// Unpreferred says that no chain of the CA leads to the preferred one.
	Unpreferred bool
}

// Order gets a certificate for ids; old is the lineage that it renews, nil for
// none. Nothing is stored.
func (o *Obtainer) Order(ctx context.Context, set *settings.Settings, ids []identifier.Identifier, old *lineage.Lineage) (Issued, error) {
	return o.order(ctx, set, ids, old, nil)
}

// Warnings tell, in Certbot's words where it has some, what a person should know of a
// certificate beside that it is there.
func (i Issued) Warnings(set *settings.Settings) (lines []string) {
	for _, f := range i.LeftOut {
		lines = append(lines, fmt.Sprintf("%s is left out of the certificate: %s (%s)", f.Name, f.Detail, f.Type))
	}
	if i.Unpreferred {
		lines = append(lines, fmt.Sprintf("Certbot has been configured to prefer certificate chains with issuer '%s', but no chain from the CA matched this issuer. Using the default certificate chain instead.", set.PreferredChain))
	}
	return lines
}

// order is Order for one of many; see [issuance.Request] for waiting.
func (o *Obtainer) order(ctx context.Context, set *settings.Settings, ids []identifier.Identifier, old *lineage.Lineage, waiting func() func()) (Issued, error) {
	auth, err := o.Provers.For(set)
	if err != nil {
		return Issued{}, err
	}
	var key crypto.Signer
	reused := true
	if set.CSR == nil {
		if key, reused, err = keyFor(set, old); err != nil {
			return Issued{}, err
		}
	}
	ca, err := o.Connections.CA(ctx, set.Server)
	if err != nil {
		return Issued{}, err
	}
	acc, err := o.Connections.Account(ctx, set.Server, set.Account)
	if err != nil {
		return Issued{}, err
	}
	renews := ""
	if !set.DryRun { // which replaces nothing
		renews = replaces(old, set.Server)
	}
	start := time.Now()
	got, err := ca.Obtain(ctx, issuance.Account{Key: acc.Key, URL: acc.URL}, issuance.Request{
		Identifiers: ids, Key: key, CSR: set.CSR, MustStaple: set.MustStaple, Replaces: renews,
		Authenticator: auth, Challenges: set.PrefChallenges, PreferredProfile: set.PreferredProfile, RequiredProfile: set.RequiredProfile,
		PreferredChain: set.PreferredChain, AllowSubset: set.AllowSubset, Trial: set.DryRun, Timeout: o.Timeout, Waiting: waiting,
	})
	o.Log.Info("order ended", "names", identifier.Values(ids), "took", time.Since(start), "requests", ca.Requests(), "error", err)
	if err != nil {
		return Issued{}, err
	}
	m := Issued{lineage.Material{Cert: certificate.MarshalChain(got.Cert), Chain: certificate.MarshalChain(got.Chain...)}, got.LeftOut, got.Unpreferred}
	if !reused {
		if m.Key, err = certificate.MarshalKey(key); err != nil {
			return Issued{}, err
		}
	}
	return m, nil
}

// replaces is the renewal ID of the certificate in use, if it came from server: only
// the CA that issued it can know it.
func replaces(old *lineage.Lineage, server string) string {
	if old == nil || old.Server() != server {
		return ""
	}
	c, err := old.Certificate()
	if err != nil {
		return ""
	}
	return certificate.RenewalID(c)
}

// keyFor makes the key of the next version, or returns the last one's when it is to
// be reused.
func keyFor(set *settings.Settings, old *lineage.Lineage) (key crypto.Signer, reused bool, err error) {
	spec := certificate.KeySpec{Type: set.KeyType, RSABits: set.RSAKeySize, Curve: set.EllipticCurve}
	if old == nil || !set.ReuseKey || set.NewKey {
		key, err = spec.Generate()
		return key, false, err
	}
	if key, err = old.Key(); err != nil {
		return nil, false, err
	}
	option := ""
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if set.KeyType != "rsa" && set.IsSet("key_type") {
			option = "--key-type"
		} else if set.IsSet("rsa_key_size") && k.N.BitLen() != set.RSAKeySize {
			option = "--rsa-key-size"
		}
	case *ecdsa.PrivateKey:
		if set.KeyType != "ecdsa" && set.IsSet("key_type") {
			option = "--key-type"
		} else if set.IsSet("elliptic_curve") && curveOf(k) != set.EllipticCurve {
			option = "--elliptic-curve"
		}
	}
	if option != "" {
		return nil, false, fmt.Errorf("unable to change the %s of this certificate because --reuse-key is set: give --no-reuse-key to stop reusing the key, or --new-key to change it once", option)
	}
	return key, true, nil
}

func curveOf(k *ecdsa.PrivateKey) string {
	return "secp" + strings.TrimPrefix(k.Params().Name, "P-") + "r1"
}

// KeyType is Certbot's word for the kind of a key.
func KeyType(key crypto.Signer) string {
	if _, ok := key.(*rsa.PrivateKey); ok {
		return "rsa"
	}
	return "ecdsa"
}

// Deploy stores m as the next version of l and puts it into use, with the settings;
// see [settings.Settings.Save] for prune. The deploy hooks are noted; who runs them
// calls [Obtainer.Hooked].
func (o *Obtainer) Deploy(l *lineage.Lineage, m Issued, set *settings.Settings, prune bool) error {
	version, err := l.Add(m.Material)
	if err != nil {
		return err
	}
	if err := o.use(l, version); err != nil {
		return err
	}
	before := l.Conf.Bytes()
	if err := l.Record(set, prune); err != nil {
		return err
	}
	if bytes.Equal(before, l.Conf.Bytes()) {
		return nil
	}
	return l.WriteConf()
}

// use puts a stored version into use.
func (o *Obtainer) use(l *lineage.Lineage, version int) error {
	if err := o.Notes.Put(l.Name, version); err != nil {
		return err
	}
	o.Log.Info("deploying", "lineage", l.Name, "version", version)
	return l.Deploy(version)
}

// Hooked notes that the deploy hooks of a lineage have run.
func (o *Obtainer) Hooked(name string) {
	if err := o.Notes.Drop(name); err != nil {
		o.Log.Warn("the note of a deploy hook cannot be removed", "error", err)
	}
}

// New makes a lineage for a certificate that was just issued.
func (o *Obtainer) New(name string, m Issued, set *settings.Settings) (*lineage.Lineage, error) {
	l, err := o.Store.Create(name, m.Material, set)
	if err != nil {
		return nil, err
	}
	return l, o.Notes.Put(l.Name, 1)
}

// WorkNotes is where notes are kept below Certbot's --work-dir.
func WorkNotes(workDir string) Notes {
	return Notes{Dir: workDir + string(os.PathSeparator) + "vidimus-hooks"}
}
