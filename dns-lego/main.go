// Vidimus-dns-lego brings all DNS providers of lego to vidimus, which runs it and speaks
// to it on standard input and output; docs/dns.md describes how. It is a module and a
// program of its own because the libraries of all providers weigh many times as much as
// vidimus itself.
package main

import (
	"fmt"
	"os"
)

func main() {
	if len(os.Args) > 1 {
		fmt.Fprintln(os.Stderr, "vidimus-dns-lego is run by vidimus, without arguments: use vidimus --dns PROVIDER")
		os.Exit(2)
	}
	// Some libraries print on standard output; that must not get among the messages.
	out := os.Stdout
	os.Stdout = os.Stderr
	if err := serve(os.Stdin, out); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
