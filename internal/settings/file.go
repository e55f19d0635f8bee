package settings

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// A place is where a key stands in a file.
type place struct {
	key  []string
	line int
}

// parseFile reads doc, the content of path, into s. An error is
// "PATH:LINE: what is wrong".
func parseFile(s *Settings, path string, doc []byte) error {
	var values map[string]any
	if err := toml.Unmarshal(doc, &values); err != nil {
		return syntaxError(path, err)
	}
	places := placesOf(doc, new(struct{}))
	seen := make(map[string]bool)
	for _, p := range places {
		name := p.key[0]
		if seen[name] {
			continue // the next table of an array, or a.b beside a.c
		}
		seen[name] = true
		k, err := keyNamed(name)
		if err != nil {
			return fmt.Errorf("%s:%d: %w", path, p.line, err)
		}
		if k.Form == Listens {
			if line, err := takeListens(s, values[name], doc, places); err != nil {
				return fmt.Errorf("%s:%d: %w", path, line, err)
			}
			continue
		}
		texts, err := k.texts(values[name])
		if err == nil {
			err = k.take(s, texts)
		}
		if err != nil {
			return fmt.Errorf("%s:%d: %s: %w", path, p.line, name, err)
		}
	}
	return nil
}

func syntaxError(path string, err error) error {
	what := strings.TrimPrefix(err.Error(), "toml: ")
	if decode, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, column := decode.Position()
		return fmt.Errorf("%s:%d: %s, at column %d", path, line, what, column)
	}
	return fmt.Errorf("%s: %s", path, what)
}

// placesOf lists where the keys of doc stand that into has no field for. With
// an empty struct that is every key, in the order of the document: strict
// decoding is the one stable way to learn a key's line from go-toml.
func placesOf(doc []byte, into any) []place {
	err := toml.NewDecoder(bytes.NewReader(doc)).DisallowUnknownFields().Decode(into)
	strict, ok := errors.AsType[*toml.StrictMissingError](err)
	if !ok {
		return nil
	}
	places := make([]place, len(strict.Errors))
	for i := range strict.Errors {
		line, _ := strict.Errors[i].Position()
		places[i] = place{strict.Errors[i].Key(), line}
	}
	return places
}

// texts turns a TOML value into the texts that k's field takes.
func (k Key) texts(value any) ([]string, error) {
	switch v := value.(type) {
	case string:
		if k.Form == Text || k.Form == Number && k.Default == "auto" {
			return []string{v}, nil
		}
	case int64:
		if k.Form == Number {
			return []string{strconv.FormatInt(v, 10)}, nil
		}
	case bool:
		if k.Form == Switch {
			return []string{strconv.FormatBool(v)}, nil
		}
	case []any:
		if k.Form == Words {
			return words(v)
		}
	}
	return nil, fmt.Errorf("%s is not %s", describe(value), k.wanted())
}

func words(values []any) ([]string, error) {
	texts := make([]string, len(values))
	for i, value := range values {
		text, ok := value.(string)
		if !ok {
			return nil, fmt.Errorf("%s in it is not a string, like \"3000\"", describe(value))
		}
		texts[i] = text
	}
	return texts, nil
}

// wanted is how k is written in TOML.
func (k Key) wanted() string {
	switch k.Form {
	case Number:
		if k.Default == "auto" {
			return `a number or "auto"`
		}
		return "a number, like " + k.Default
	case Switch:
		return "true or false"
	case Words:
		return `an array of strings, like ["node", "server.js"]`
	case Listens:
		return `an array of strings or [[listen]] tables`
	case Text:
		return "a string in quotes"
	default:
		panic("settings: a key of form " + string(k.Form))
	}
}

func describe(value any) string {
	switch v := value.(type) {
	case string:
		return strconv.Quote(v)
	case int64, float64, bool:
		return fmt.Sprint(v)
	case []any:
		return "an array"
	case map[string]any:
		return "a table"
	default:
		return "a date or time"
	}
}
