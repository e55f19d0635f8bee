package install

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/rondokit/rondo/internal/settings"
)

// tomlText is NAME.toml without its first line: what s has of name, command,
// directory and listen, and the keys that flags set, in the order of settings.Keys.
func tomlText(s settings.Settings, flags map[string][]string, restart string) (string, error) {
	var fixed []string
	for _, key := range settings.Keys() {
		if key.IsFixed() {
			fixed = append(fixed, key.Name)
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# The settings of %s, as rondo install wrote them. Change them here: rondo reload %s applies it,\n", s.Name, s.Name)
	fmt.Fprintf(&b, "# and for %s: %s. rondo run --help says what each is.\n\n", strings.Join(fixed, ", "), restart)
	for _, key := range settings.Keys() {
		value, err := tomlValue(key, s, flags)
		if err != nil {
			return "", fmt.Errorf("--%s: %w", key.Name, err)
		}
		if value == nil {
			continue
		}
		line, err := toml.Marshal(map[string]any{key.Name: value})
		if err != nil {
			return "", fmt.Errorf("%s: %w", key.Name, err)
		}
		b.Write(line)
	}
	if len(s.Listen) > 0 { // tables come last
		tables, err := toml.Marshal(map[string]any{"listen": listenTables(s.Listen)})
		if err != nil {
			return "", fmt.Errorf("listen: %w", err)
		}
		b.WriteByte('\n')
		b.Write(tables)
	}
	return b.String(), nil
}

// tomlValue is key's value, or nil when it stays at its default.
func tomlValue(key settings.Key, s settings.Settings, flags map[string][]string) (any, error) {
	switch key.Name {
	case "name":
		return s.Name, nil
	case "command":
		return s.Command, nil
	case "directory":
		return s.Directory, nil
	case "listen":
		return nil, nil
	}
	texts := flags[key.Name]
	if len(texts) == 0 {
		return nil, nil
	}
	text := texts[len(texts)-1]
	switch key.Form {
	case settings.Number:
		if n, err := strconv.Atoi(text); err == nil {
			return n, nil
		}
		return text, nil // auto
	case settings.Switch:
		return strconv.ParseBool(text)
	default:
		return text, nil
	}
}

// listenTable is one [[listen]].
type listenTable struct {
	Name    string `toml:"name,omitempty"`
	Address string `toml:"address"`
	Worker  any    `toml:"worker,omitempty"`
}

// listenTables maps by address, not by fd:NAME: so rondo run --config serves the
// same without systemd, for a try by hand.
func listenTables(list []settings.Listen) []listenTable {
	tables := make([]listenTable, len(list))
	for i, l := range list {
		t := listenTable{Name: l.Name}
		if want := l.Want; want != nil {
			t.Worker = want.String()
			if want.Path == "" && !want.IP.IsValid() {
				t.Worker = int64(want.Port)
			}
		}
		l.Name, l.Want = "", nil
		t.Address = l.String()
		tables[i] = t
	}
	return tables
}
