// Command vidimusd is the certificate service of an organisation. See package
// internal/admin for its commands.
package main

import (
	"os"

	"vidimus/internal/admin"
	"vidimus/internal/version"
)

func main() { os.Exit(admin.Main(os.Args[1:], version.String(), os.Stdout, os.Stderr)) }
