package validation

import (
	"cmp"
	"slices"

	"vidimus/internal/store"
)

const (
	// maxRunning bounds the validations that run at once; the others wait their turn.
	maxRunning = 256
	// maxPerAccount bounds those of one account, so that names that don't answer hold
	// up nobody but their own account.
	maxPerAccount = 48
	// maxWaiting bounds those that wait in memory, at some hundred bytes each. What is
	// beyond waits on record.
	maxWaiting = 100_000
)

// job is a challenge that is to be validated.
type job struct {
	challenge, authz, account int64
	known                     *known // nil: what is on record
}

// known is what whoever asks for a validation has just read.
type known struct {
	authz   store.Authz
	account store.Account
}

// queue lets accounts take turns. It is not safe for concurrent use.
type queue struct {
	accounts map[int64]*line
	turns    []int64 // accounts with a job that may run, each once, by turn
	waiting  int
	running  int
	most     int // that may wait; 0 means maxWaiting
}

// line is what one account waits for.
type line struct {
	jobs    []job
	running int
	inTurns bool
}

// add appends a job to its account's line; it is false when there is no room. What had to
// leave for it is the caller's to remember.
func (q *queue) add(j job) (left []job, ok bool) {
	if q.waiting >= q.room() {
		if left = q.shorten(j.account); left == nil {
			return nil, false
		}
	}
	if q.accounts == nil {
		q.accounts = make(map[int64]*line)
	}
	l := q.accounts[j.account]
	if l == nil {
		l = new(line)
		q.accounts[j.account] = l
	}
	l.jobs = append(l.jobs, j)
	q.waiting++
	q.enter(j.account, l)
	return left, true
}

// shorten takes the newer half of the longest line out, so that no account keeps another
// from being heard; nil where that is hardly longer than the given account's.
func (q *queue) shorten(account int64) []job {
	own := 0
	if l := q.accounts[account]; l != nil {
		own = len(l.jobs)
	}
	if own > 0 && own*len(q.accounts) >= q.waiting {
		return nil // it has its share
	}
	var longest *line
	for _, l := range q.accounts {
		if longest == nil || len(l.jobs) > len(longest.jobs) {
			longest = l
		}
	}
	keep := len(longest.jobs) / 2
	if keep <= own {
		return nil
	}
	left := slices.Clone(longest.jobs[keep:])
	longest.jobs = slices.Clone(longest.jobs[:keep])
	q.waiting -= len(left)
	return left
}

// free tells whether a job of the account would run at once.
func (q *queue) free(account int64) bool {
	l := q.accounts[account]
	return q.running < maxRunning && len(q.turns) == 0 && (l == nil || len(l.jobs) == 0 && l.running < maxPerAccount)
}

func (q *queue) room() int { return cmp.Or(q.most, maxWaiting) }

// enter gives an account a turn when it can use one.
func (q *queue) enter(account int64, l *line) {
	if !l.inTurns && len(l.jobs) > 0 && l.running < maxPerAccount {
		l.inTurns = true
		q.turns = append(q.turns, account)
	}
}

// next takes the job whose turn it is, to run until done; it is false when none may.
func (q *queue) next() (job, bool) {
	if q.running >= maxRunning || len(q.turns) == 0 {
		return job{}, false
	}
	account := q.turns[0]
	q.turns = slices.Delete(q.turns, 0, 1)
	l := q.accounts[account]
	j := l.jobs[0]
	l.jobs = l.jobs[1:]
	l.inTurns = false
	l.running++
	q.running++
	q.waiting--
	q.enter(account, l)
	return j, true
}

// done ends a job that next gave.
func (q *queue) done(j job) {
	l := q.accounts[j.account]
	l.running--
	q.running--
	q.enter(j.account, l)
	if l.running == 0 && len(l.jobs) == 0 {
		delete(q.accounts, j.account)
	}
}
