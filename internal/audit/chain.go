package audit

import "fmt"

// Chain checks rows one after another, from position 1 on. The zero value has seen
// none.
type Chain struct {
	Position int64  // of the last row
	hash     string // its hash
}

// Hash is that of the last row, or [Start].
func (c *Chain) Hash() string {
	if c.Position == 0 {
		return Start
	}
	return c.hash
}

// Add takes the next row. The error says what was done to it, or to one before it.
func (c *Chain) Add(r Row) error {
	switch {
	case r.Position != c.Position+1:
		return fmt.Errorf("position %d is missing: the next row is at %d; what was there has been removed", c.Position+1, r.Position)
	case r.Sum(c.Hash()) != r.Hash:
		return fmt.Errorf("the row at position %d (%s of %s at %s) is not the one that was sealed there: it has been altered, replaced or moved",
			r.Position, r.Action, r.Object, r.At.Format("2006-01-02T15:04:05Z07:00"))
	}
	c.Position, c.hash = r.Position, r.Hash
	return nil
}
