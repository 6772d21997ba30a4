package login

// Provider is an OpenID provider.
type Provider struct{}
