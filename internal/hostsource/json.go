package hostsource

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"vidimus/internal/config"
)

type jsonReader struct {
	c     *config.JSONFiles
	files *files
}

func openJSON(c *config.JSONFiles) (Reader, error) {
	f, err := openFiles(&c.Files)
	return &jsonReader{c, f}, err
}

// Deltas implements [Reader].
func (*jsonReader) Deltas() bool { return false }

// Read implements [Reader].
func (r *jsonReader) Read(ctx context.Context, mark string, to Sink) (Reading, error) {
	return r.files.read(ctx, mark, r.c.From, func(_ int, in io.Reader) error { return readJSON(in, to) })
}

// readJSON reads a document: an object with the lists hosts, people and groups, or a list
// of hosts.
func readJSON(in io.Reader, to Sink) error {
	d := json.NewDecoder(bufio.NewReader(in))
	start, err := d.Token()
	if err != nil {
		return ended(err)
	}
	switch start {
	case json.Delim('['):
		err = readList(d, "hosts", to)
	case json.Delim('{'):
		err = readObject(d, to)
	default:
		return errors.New(`it must be an object with the lists "hosts", "people" and "groups", or a list of hosts`)
	}
	if err != nil {
		return ended(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the end of the document")
	}
	return nil
}

// ended words that a document has come to an end too soon.
func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func readObject(d *json.Decoder, to Sink) error {
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		what, _ := key.(string)
		if _, is := tables[what]; !is {
			if err := d.Decode(new(json.RawMessage)); err != nil {
				return err
			}
			if err := to.Skip(fmt.Sprintf("%q", what), errors.New("there are hosts, people and groups")); err != nil {
				return err
			}
			continue
		}
		if start, err := d.Token(); err != nil {
			return err
		} else if start != json.Delim('[') {
			return fmt.Errorf("%s must be a list", what)
		}
		if err := readList(d, what, to); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}

// readList reads the rest of a list of hosts, people or groups.
func readList(d *json.Decoder, what string, to Sink) error {
	for n := 1; d.More(); n++ {
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return err
		}
		give, err := entryIn(raw, what)
		if err != nil {
			err = to.Skip(fmt.Sprintf("%s, entry %d", what, n), err)
		} else {
			err = give(to)
		}
		if err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}

// entryIn reads an entry, and returns how a sink gets it.
func entryIn(raw json.RawMessage, what string) (func(Sink) error, error) {
	switch what {
	case "people":
		var e struct{ Login, Name, Email string }
		err := json.Unmarshal(raw, &e)
		return func(to Sink) error { return to.Person(Person(e)) }, err
	case "groups":
		var e struct {
			Name, Title string
			Members     []string
		}
		err := json.Unmarshal(raw, &e)
		return func(to Sink) error { return to.Group(Group(e)) }, err
	}
	var e struct {
		FQDN           string
		People, Groups []string
		Details        map[string]any
	}
	if err := json.Unmarshal(raw, &e); err != nil {
		return nil, err
	}
	h := Host{FQDN: e.FQDN, People: e.People, Groups: e.Groups, Details: make(map[string]string, len(e.Details))}
	for k, v := range e.Details {
		switch v := v.(type) {
		case nil:
		case string:
			h.Details[k] = v
		case bool, float64:
			data, err := json.Marshal(v)
			if err != nil {
				return nil, err
			}
			h.Details[k] = string(data)
		default:
			return nil, fmt.Errorf("details.%s must be a text, a number, or true or false", k)
		}
	}
	return func(to Sink) error { return to.Host(h) }, nil
}
