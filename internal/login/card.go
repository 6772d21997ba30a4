package login

// Certificates are TLS client certificates that people log in by.
type Certificates struct{}
