package admin

import (
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vidimus/internal/audit"
	"vidimus/internal/backup"
	"vidimus/internal/directory"
)

func backupCommand(version string) *cobra.Command {
	t := new(tool)
	var keys bool
	c := &cobra.Command{
		Use:   "backup FOLDER",
		Short: "Copy database, configuration and CA certificates, of a running server too",
		Long: `Copy the database as it is at one instant, the configuration and the CA certificates
to a new FOLDER, readable by you alone, with a manifest that has the SHA-256 of each.
The server may be running. Private keys are copied with --with-keys only: keep such a
backup as safe as the keys, or keep the keys elsewhere.

A PostgreSQL database is copied by its own pg_dump, which must be installed.`,
		Example: `  vidimusd backup --config /etc/vidimusd/vidimusd.yaml /var/backups/vidimusd-$(date +%F)`,
		Args:    exactly(1, "the folder to make"),
	}
	c.RunE = t.run(func(c *cobra.Command, d *directory.Directory, args []string) error {
		cfg, err := t.config()
		if err != nil {
			return err
		}
		to, err := filepath.Abs(args[0])
		if err != nil {
			return err
		}
		// Before: if keys leave, the log must have it whatever comes after.
		if err := d.Store.Record(c.Context(), audit.Event{Action: audit.BackedUp, Object: to, Detail: audit.Detail{"keys": keys}}); err != nil {
			return err
		}
		m, err := backup.Make(c.Context(), backup.Options{Config: cfg, ConfigFile: t.configPath, Store: d.Store, To: to, Keys: keys, Version: version, Now: time.Now()})
		if err != nil {
			return err
		}
		text := "Backed up to %s: the database (%d bytes), the configuration and %d files that it names."
		if len(m.KeysLeft) > 0 {
			text += "\nNot in it, for want of --with-keys: " + strings.Join(m.KeysLeft, ", ")
		}
		return t.done(c.OutOrStdout(), m, text, to, m.Database.Size, len(m.Files))
	})
	c.Flags().StringVar(&t.configPath, "config", "vidimusd.yaml", "the configuration `FILE`")
	c.Flags().BoolVar(&t.json, "json", false, "print the manifest as JSON")
	c.Flags().BoolVar(&keys, "with-keys", false, "copy private keys too")
	return c
}

func restoreCommand() *cobra.Command {
	t := new(tool)
	var config string
	var db databaseFlags
	c := &cobra.Command{
		Use:   "restore FOLDER",
		Short: "Put a backup back into an empty place",
		Long: `Check the backup in FOLDER and put it back: the configuration at --config or where it
was, the files that it names beside it or where they were. Nothing that exists is
replaced. CRL numbers leap ahead, so that none is given twice.

What happened after the backup was made is not known any more: look through the log for
revocations, ACME-IDs and hosts since then, and enter them again.`,
		Example: `  vidimusd restore /var/backups/vidimusd-2026-01-31 --config /etc/vidimusd/vidimusd.yaml`,
		Args:    exactly(1, "the folder of a backup"),
		RunE: func(c *cobra.Command, args []string) error {
			database, err := db.read()
			if err != nil {
				return err
			}
			ctx := audit.With(c.Context(), thisOperator())
			m, at, err := backup.Restore(ctx, args[0], config, database, time.Now())
			if err != nil {
				return err
			}
			text := "Restored what was at %s, with the configuration at %s."
			if len(m.KeysLeft) > 0 {
				text += "\nThe backup has no private keys; put these back yourself: " + strings.Join(m.KeysLeft, ", ")
			}
			if m.Database.Target == "" {
				text += "\nIf the database is not the one that the configuration names, change it there."
			}
			text += "\nWhat happened since then must be entered again, revocations first. Then: vidimusd check --config %[2]s"
			return t.done(c.OutOrStdout(), m, text, m.Made.Format(time.RFC3339), at)
		},
	}
	c.Flags().StringVar(&config, "config", "", "the configuration `FILE` to write (default: where it was)")
	db.add(c.Flags(), "an empty database, for a backup of one", "none")
	c.Flags().BoolVar(&t.json, "json", false, "print the manifest as JSON")
	return c
}
