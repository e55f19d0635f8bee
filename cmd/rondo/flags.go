package main

import (
	"strings"

	"github.com/spf13/pflag"

	"github.com/rondokit/rondo/internal/settings"
)

// addSettings adds a flag for each setting; what is given goes into texts.
func addSettings(flags *pflag.FlagSet, texts map[string][]string) {
	for _, key := range settings.Keys() {
		if key.Form == settings.Words {
			continue // COMMAND is what follows the flags
		}
		f := flags.VarPF(&settingFlag{key, texts}, key.Name, "", key.Usage)
		f.DefValue = key.Default
		if key.Form == settings.Switch {
			f.NoOptDefVal = "true"
		}
	}
}

// nameVariables has the help tell the variable of each setting, for a command that
// reads the environment.
func nameVariables(flags *pflag.FlagSet) {
	for _, key := range settings.Keys() {
		if f := flags.Lookup(key.Name); f != nil {
			f.Usage += " [" + key.Variable() + "]"
		}
	}
}

// settingFlag is one setting as a flag. It checks each value where it stands,
// so that a slip is told as one, and keeps the text for the settings to read.
type settingFlag struct {
	key   settings.Key
	texts map[string][]string
}

func (f *settingFlag) Set(text string) error {
	if err := f.key.Check(text); err != nil {
		return err
	}
	f.texts[f.key.Name] = append(f.texts[f.key.Name], text)
	return nil
}

func (f *settingFlag) String() string { return strings.Join(f.texts[f.key.Name], " ") }

// Type is for the help: a bool is shown without a value.
func (f *settingFlag) Type() string {
	if f.key.Form == settings.Switch {
		return "bool"
	}
	return "value"
}
