package admin

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"vidimus/internal/directory"
	"vidimus/internal/job"
)

func jobs(t *tool) *cobra.Command { return group("job", "Background work", listJobs(t)) }

func listJobs(t *tool) *cobra.Command {
	var open bool
	var limit int
	c := &cobra.Command{
		Use:   "list",
		Short: "List the background jobs on record, the newest first",
		Long: `List the background jobs on record, the newest first: what they are for, their state, the
server that tried last, and the error that it met with last. A job is on record only when
there is something to do. Those that are done stay for an hour, those that have been given
up for a week.

  available  waits for a server that is free
  running    is being done
  retryable  failed, and is tried again
  completed  is done
  discarded  was given up; as long as there is something to do there is a new one`,
		Example: `  vidimusd admin job list --open
  vidimusd admin job list --json`,
		Args: exactly(0, ""),
		RunE: t.run(func(c *cobra.Command, d *directory.Directory, _ []string) error {
			if limit < 1 || limit > 10_000 {
				return usageError{fmt.Errorf("--limit is from 1 to 10000, not %d", limit)}
			}
			all, err := job.List(c.Context(), d.Store, open, limit)
			if err != nil {
				return err
			}
			rows := make([][]string, len(all))
			for i, j := range all {
				next := "-"
				if !j.Next.IsZero() {
					next = j.Next.UTC().Format(time.RFC3339)
				}
				rows[i] = []string{strconv.FormatInt(j.ID, 10), j.Name, j.State, strconv.Itoa(j.Attempt), j.Created.UTC().Format(time.RFC3339), next, j.LastFail}
			}
			return t.list(c.OutOrStdout(), all, "ID\tJOB\tSTATE\tATTEMPT\tCREATED\tNEXT TRY\tLAST ERROR", rows)
		}),
	}
	c.Flags().BoolVar(&open, "open", false, "only those that are not done, or were given up")
	c.Flags().IntVar(&limit, "limit", 50, "at most this `NUMBER`")
	return c
}
