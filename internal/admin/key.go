package admin

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"vidimus/internal/certificate"
	"vidimus/internal/directory"
	"vidimus/internal/store"
)

// blockedView is a blocked key as it is shown.
type blockedView struct {
	SPKI    string    `json:"spki_sha256"`
	Blocked time.Time `json:"blocked"`
	Why     string    `json:"why"`
}

func viewBlocked(k store.BlockedKey) blockedView {
	v := blockedView{SPKI: hex.EncodeToString(k.SPKI), Blocked: k.Blocked, Why: k.Why}
	if v.Why == "" {
		v.Why = "a certificate was revoked as compromised"
	}
	return v
}

func keys(t *tool) *cobra.Command {
	const what = "the key: a PEM file, or the SHA-256 hash of its subject public key info"
	const long = `

KEY is a file in PEM with the key, public or private, or with a certificate or a
certificate request that has it; or 64 hexadecimal digits, the SHA-256 hash of its
subject public key info in DER:

  openssl pkey -pubin -in key.pub -outform DER | sha256sum`
	why := ""
	block := &cobra.Command{
		Use: "block KEY", Short: "Refuse a key, for certificates and accounts", Args: exactly(1, what),
		Long: `Refuse a key from now on, for new certificates, for new accounts and as the new key of
an account. An account that has it gets no more certificates, and no other key.
Certificates that have it stay as they are: revoke them as keyCompromise, which blocks
their key too. Many keys that are known to be bad are better in files, which
the configuration names (blocked_keys).` + long,
		Example: `  vidimusd admin key block leaked.key --why "published in a repository"`,
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, args []string) error {
			spki, err := keyHash(args[0])
			if err != nil {
				return err
			}
			k := store.BlockedKey{SPKI: spki, Blocked: time.Now().UTC().Truncate(time.Millisecond), Why: why}
			if err := d.Store.BlockKeyFor(c.Context(), k.SPKI, k.Why, k.Blocked); errors.Is(err, store.ErrConflict) {
				return fmt.Errorf("the key %x is blocked already", spki)
			} else if err != nil {
				return err
			}
			return t.done(c.OutOrStdout(), viewBlocked(k), "Blocked the key %x.", spki)
		}),
	}
	block.Flags().StringVar(&why, "why", "by an operator", "the `REASON`, for the list and the audit log")
	unblock := &cobra.Command{
		Use: "unblock KEY", Short: "Let a key be used again", Args: exactly(1, what),
		Long: `Let a key be used again that an operator has blocked, or that has been since the
revocation of a certificate as compromised.` + long,
		ValidArgsFunction: func(c *cobra.Command, args []string, _ string) (hashes []string, _ cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			_ = t.run(func(c *cobra.Command, d *directory.Directory, _ []string) error {
				all, err := d.Store.BlockedKeys(c.Context())
				for _, k := range all {
					hashes = append(hashes, hex.EncodeToString(k.SPKI))
				}
				return err
			})(c, nil)
			return hashes, cobra.ShellCompDirectiveDefault
		},
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, args []string) error {
			spki, err := keyHash(args[0])
			if err != nil {
				return err
			}
			if err := d.Store.UnblockKey(c.Context(), spki); err != nil {
				return notThere(err, "the key %x is not blocked here; if it is refused, look into the files of blocked_keys", spki)
			}
			return t.done(c.OutOrStdout(), map[string]string{"unblocked": hex.EncodeToString(spki)}, "Unblocked the key %x.", spki)
		}),
	}
	list := &cobra.Command{
		Use: "list", Short: "List the blocked keys, but for those in files", Args: exactly(0, ""),
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, _ []string) error {
			all, err := d.Store.BlockedKeys(c.Context())
			if err != nil {
				return err
			}
			views, rows := make([]blockedView, len(all)), make([][]string, len(all))
			for i, k := range all {
				views[i] = viewBlocked(k)
				rows[i] = []string{views[i].SPKI, day(k.Blocked), views[i].Why}
			}
			return t.list(c.OutOrStdout(), views, "SHA-256 OF THE PUBLIC KEY\tSINCE\tWHY", rows)
		}),
	}
	return group("key", "Refuse keys that others know", block, unblock, list)
}

// maxKeyFile bounds what is read of a file with a key, in bytes.
const maxKeyFile = 1 << 20

// keyHash reads what names a key on the command line.
func keyHash(arg string) ([]byte, error) {
	if sum, err := hex.DecodeString(arg); err == nil && len(sum) == sha256.Size {
		return sum, nil
	}
	f, err := os.Open(arg)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%q is neither a file nor a SHA-256 hash in 64 hexadecimal digits", arg)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return nil, err
	}
	spki, err := publicKeyInfo(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", arg, err)
	}
	sum := sha256.Sum256(spki)
	return sum[:], nil
}

// publicKeyInfo finds the subject public key info, in DER, of what PEM text begins with.
func publicKeyInfo(text []byte) ([]byte, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("it holds no PEM")
	}
	switch block.Type {
	case "CERTIFICATE":
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return c.RawSubjectPublicKeyInfo, nil
	case "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST":
		c, err := x509.ParseCertificateRequest(block.Bytes)
		if err != nil {
			return nil, err
		}
		return c.RawSubjectPublicKeyInfo, nil
	case "PUBLIC KEY":
		if _, err := x509.ParsePKIXPublicKey(block.Bytes); err != nil {
			return nil, err
		}
		return bytes.Clone(block.Bytes), nil
	}
	key, err := certificate.ParseKey(text)
	if err != nil {
		return nil, err
	}
	return x509.MarshalPKIXPublicKey(key.Public())
}
