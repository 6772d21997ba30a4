package config

import "vidimus/internal/certificate"

func (r *reader) pair(path, cert, key string) {
	chain, haveChain := readFile(r, path+".certificate", cert, certificate.LoadChain)
	k, haveKey := readFile(r, path+".key", key, ReadKey)
	if haveChain && haveKey && !certificate.KeyMatches(chain[0], k) {
		r.add(path+".key", "the key in %s is not that of the certificate in %s", key, cert)
	}
}

// readFile reads a file that the value at path names, and adds what is wrong with
// it; a name that is missing has been added already.
func readFile[T any](r *reader, path, file string, read func(string) (T, error)) (content T, ok bool) {
	if file == "" {
		return content, false
	}
	content, err := read(file)
	if err != nil {
		r.add(path, "%v", err)
	}
	return content, err == nil
}
