package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// insertAll inserts rows, several with one statement, that nothing else in the
// transaction builds on; head is "INSERT INTO table (columns)".
func insertAll(ctx context.Context, tx *sql.Tx, head string, rows [][]any) error {
	for chunk := range slices.Chunk(rows, maxTogether) {
		if _, err := tx.ExecContext(unawaited(ctx), head+` VALUES `+rowsOf(len(chunk), make([]string, len(chunk[0]))...), slices.Concat(chunk...)...); err != nil {
			return err
		}
	}
	return nil
}

// insertNumbered is insertAll for a table that numbers its rows, and returns the numbers,
// in the order of the rows.
func insertNumbered(ctx context.Context, tx *sql.Tx, head string, rows [][]any) (ids []int64, err error) {
	for chunk := range slices.Chunk(rows, maxTogether) {
		some, err := collect(ctx, tx, scanID, head+` VALUES `+rowsOf(len(chunk), make([]string, len(chunk[0]))...)+` RETURNING id`, slices.Concat(chunk...)...)
		if err != nil {
			return nil, err
		}
		if len(some) != len(chunk) {
			return nil, fmt.Errorf("%d of %d rows were inserted", len(some), len(chunk))
		}
		// The numbers are given out in the order of the rows, and returned in any.
		slices.Sort(some)
		ids = append(ids, some...)
	}
	return ids, nil
}

// listed appends values to the arguments of a query, and returns "$2, $3" for their
// places: a power of two of them, the last value repeated, so that there are few texts of
// the query to prepare.
func listed[T any](args []any, values []T) (string, []any) {
	var list strings.Builder
	for i := range powerOfTwo(len(values)) {
		if i > 0 {
			list.WriteString(", ")
		}
		args = append(args, values[min(i, len(values)-1)])
		list.WriteString("$" + strconv.Itoa(len(args)))
	}
	return list.String(), args
}

// powerOfTwo is the least one that is not below n.
func powerOfTwo(n int) int {
	size := 1
	for size < n {
		size *= 2
	}
	return size
}
