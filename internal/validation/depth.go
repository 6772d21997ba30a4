package validation

// Depth tells how many validations wait in memory, and how many run.
func (r *Runner) Depth() (waiting, running int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.queue.waiting, r.queue.running
}
