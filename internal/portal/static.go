package portal

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"mime"
	"net/http"
	"path"
	"strings"
)

// staticFile is one whose name has a hash of its content in it, so that it never changes.
type staticFile struct {
	mediaType   string
	plain, gzip []byte
}

// loadStatic reads static/*.
func (p *Portal) loadStatic() error {
	entries, err := files.ReadDir("static")
	if err != nil {
		return err
	}
	p.static = map[string]staticFile{}
	for _, e := range entries {
		data, err := files.ReadFile("static/" + e.Name())
		if err != nil {
			return err
		}
		var packed bytes.Buffer
		z, _ := gzip.NewWriterLevel(&packed, gzip.BestCompression) // a level that there is
		if _, err := z.Write(data); err != nil {
			return err
		}
		if err := z.Close(); err != nil {
			return err
		}
		p.static[hashed(e.Name(), data)] = staticFile{mime.TypeByExtension(path.Ext(e.Name())), data, packed.Bytes()}
	}
	return nil
}

// hashed is a file's name with its hash: style.0123456789abcdef.css.
func hashed(name string, data []byte) string {
	ext := path.Ext(name)
	return fmt.Sprintf("%s.%.8x%s", strings.TrimSuffix(name, ext), sha256.Sum256(data), ext)
}

// staticURL is where a static file is; an error for one that there is not.
func (p *Portal) staticURL(name string) (string, error) {
	data, err := files.ReadFile("static/" + name)
	return "/portal/static/" + hashed(name, data), err
}

func (p *Portal) serveStatic(w http.ResponseWriter, r *http.Request) {
	f, ok := p.static[r.PathValue("file")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", f.mediaType)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Vary", "Accept-Encoding")
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		w.Write(f.gzip)
		return
	}
	w.Write(f.plain)
}
