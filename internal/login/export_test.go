package login

import "time"

// TOTPCode is the code that a person's program shows at a time.
func TOTPCode(secret []byte, t time.Time) string { return totpCode(secret, stepOf(t)) }
