package main

import (
	"context"
	"log/slog"
	"strconv"
	"strings"

	"github.com/coreos/go-systemd/v22/journal"
)

// A journalHandler writes records to the journal with fields of their own:
// worker=3 is RONDO_WORKER=3, which journalctl can select. The message has the
// facts too, as journalctl shows nothing else.
type journalHandler struct {
	identifier string // SYSLOG_IDENTIFIER
	send       func(message string, priority journal.Priority, fields map[string]string) error
	fallback   slog.Handler // takes what the journal does not

	group string // of the attributes to come, with its "_"
	attrs []slog.Attr
}

func (h *journalHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo
}

func (h *journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	next.fallback = h.fallback.WithAttrs(attrs)
	next.attrs = h.attrs[:len(h.attrs):len(h.attrs)]
	for _, a := range attrs {
		next.attrs = append(next.attrs, slog.Attr{Key: h.group + a.Key, Value: a.Value})
	}
	return &next
}

func (h *journalHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	next := *h
	next.fallback = h.fallback.WithGroup(name)
	next.group = h.group + name + "_"
	return &next
}

func (h *journalHandler) Handle(ctx context.Context, r slog.Record) error {
	fields := map[string]string{"SYSLOG_IDENTIFIER": h.identifier}
	var message strings.Builder
	message.WriteString(r.Message)
	for _, a := range h.attrs {
		addField(fields, &message, "", a)
	}
	r.Attrs(func(a slog.Attr) bool {
		addField(fields, &message, h.group, a)
		return true
	})
	if h.send(message.String(), priorityOf(r.Level), fields) == nil {
		return nil
	}
	return h.fallback.Handle(ctx, r)
}

func addField(fields map[string]string, message *strings.Builder, group string, a slog.Attr) {
	value := a.Value.Resolve()
	if value.Kind() == slog.KindGroup {
		if a.Key != "" {
			group += a.Key + "_"
		}
		for _, inner := range value.Group() {
			addField(fields, message, group, inner)
		}
		return
	}
	if a.Key == "" {
		return
	}
	text := value.String()
	fields[fieldName(group+a.Key)] = text
	message.WriteString(" " + group + a.Key + "=" + quoted(text))
}

// fieldName is key as a field: the journal drops what is not A to Z, 0 to 9 or _.
func fieldName(key string) string {
	return "RONDO_" + strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToUpper(key))
}

func priorityOf(level slog.Level) journal.Priority {
	switch {
	case level >= slog.LevelError:
		return journal.PriErr
	case level >= slog.LevelWarn:
		return journal.PriWarning
	case level >= slog.LevelInfo:
		return journal.PriInfo
	default:
		return journal.PriDebug
	}
}

// quoted is text as slog's own text has it: in quotes when it must be.
func quoted(text string) string {
	if text != "" && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == '"' || r == '=' || r == 0x7f }) {
		return text
	}
	return strconv.Quote(text)
}
