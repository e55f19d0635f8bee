package settings

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// takeListens reads the value of the key listen into s: an array of LISTEN
// strings, of tables, or of both. It returns the line of what is wrong.
func takeListens(s *Settings, value any, doc []byte, places []place) (int, error) {
	headers := linesOf(places, "listen")
	items, ok := value.([]any)
	if !ok {
		return headers[0], fmt.Errorf("listen: %s is not an array of strings or [[listen]] tables: write [[listen]]", describe(value))
	}
	inner := placesOf(doc, new(struct{ Listen []struct{} }))
	f := (*listenField)(&s.Listen)
	f.clear()
	for i, item := range items {
		line := headers[min(i, len(headers)-1)]
		if text, ok := item.(string); ok {
			if err := f.add(text); err != nil {
				return line, err
			}
			continue
		}
		table, ok := item.(map[string]any)
		if !ok {
			return line, fmt.Errorf("listen: %s is not a string or a table", describe(item))
		}
		l, key, err := listenOf(table)
		if err != nil {
			return lineAfter(inner, line, "listen", key), err
		}
		*f = append(*f, l)
	}
	if err := f.check(); err != nil {
		return headers[0], fmt.Errorf("listen: %w", err)
	}
	return 0, nil
}

// listenOf reads one [[listen]] table; with an error goes the key it is about.
func listenOf(table map[string]any) (l Listen, key string, err error) {
	known := []string{"name", "address", "worker"}
	texts := make(map[string]string)
	for _, key := range slices.Sorted(maps.Keys(table)) {
		if !slices.Contains(known, key) {
			return Listen{}, key, unknown(key, known)
		}
		text, err := addressText(table[key])
		if err != nil {
			return Listen{}, key, fmt.Errorf("%s: %w", key, err)
		}
		texts[key] = text
	}
	if name, ok := texts["name"]; ok {
		if p := checkListenName(name); p != nil {
			return Listen{}, "name", p.inTable("name", name)
		}
		l.Name = name
	}
	address, ok := texts["address"]
	if !ok {
		return Listen{}, "", fmt.Errorf("listen: a table without address: say one, like address = \"127.0.0.1:80\"")
	}
	if p := l.setSocket(address); p != nil {
		return Listen{}, "address", p.inTable("address", address)
	}
	if worker, ok := texts["worker"]; ok {
		if p := l.setWant(worker); p != nil {
			return Listen{}, "worker", p.inTable("worker", worker)
		}
	}
	return l, "", nil
}

func (p *problem) inTable(key, text string) error {
	return fmt.Errorf("%s %q: %s at column %d %s", key, text, p.part, p.at+1, p.what)
}

// addressText takes 80 as well as "80": a lone port reads best as a number.
func addressText(value any) (string, error) {
	switch v := value.(type) {
	case string:
		return v, nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	default:
		return "", fmt.Errorf("%s is not a string", describe(value))
	}
}

// linesOf returns the lines on which key stands, or one of its own keys.
func linesOf(places []place, key string) []int {
	var lines []int
	for _, p := range places {
		if p.key[0] == key {
			lines = append(lines, p.line)
		}
	}
	return lines
}

// lineAfter returns the first line from line on where key stands, or line.
func lineAfter(places []place, line int, key ...string) int {
	for _, p := range places {
		if p.line >= line && slices.Equal(p.key, key) {
			return p.line
		}
	}
	return line
}
