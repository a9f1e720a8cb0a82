package live

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

// Config configures a [Hub]. The zero value of every field is safe.
type Config struct {
	_ [0]func() // keyed literals only

	// Keys are the keys of the session whose values pages may see. Nil means
	// none: pages learn the names of the keys that change, and ask the
	// application for what they need. A value is everything under its key, so
	// what is for the server alone needs a key of its own.
	Keys []string

	// WarnBefore is how long before a session ends its pages are told so. Zero
	// means 2 minutes; negative means never. It is at most a third of the
	// session's idle timeout, whatever is set.
	WarnBefore time.Duration

	// Heartbeat is how often a stream sends a comment while there is nothing
	// to tell, which keeps proxies from cutting it and notices clients that
	// are gone. Zero means 20 seconds; it may not be negative.
	Heartbeat time.Duration

	// PollEvery is how often each session with a stream is looked at where the
	// store does not tell of changes, being no [session.Watcher]. Zero means
	// 500 milliseconds; it may not be negative or below 10 milliseconds.
	PollEvery time.Duration

	// MaxStreams bounds the streams that one session has in this process. A
	// further one is refused with status 429. Zero means 32; it may not be
	// negative.
	MaxStreams int

	// Logger gets a line where the store cannot be watched or fails. It gets
	// no id and no data. Nil means [slog.Default].
	Logger *slog.Logger
}

const (
	defaultWarn       = 2 * time.Minute
	defaultHeartbeat  = 20 * time.Second
	defaultPoll       = 500 * time.Millisecond
	defaultMaxStreams = 32
)

// withDefaults returns the configuration with its zero values filled in, or an
// error that names every field that is wrong.
func (c Config) withDefaults() (Config, error) {
	var errs []error
	wrong := func(field, format string, args ...any) {
		errs = append(errs, &session.ConfigError{Field: field, Reason: fmt.Sprintf(format, args...)})
	}
	if slices.Contains(c.Keys, "") {
		wrong("Keys", "has an empty name")
	}
	if c.Heartbeat < 0 || c.Heartbeat > 0 && c.Heartbeat < 10*time.Millisecond {
		wrong("Heartbeat", "is %v: want at least 10ms, or zero for %v", c.Heartbeat, defaultHeartbeat)
	}
	if c.PollEvery < 0 || c.PollEvery > 0 && c.PollEvery < 10*time.Millisecond {
		wrong("PollEvery", "is %v: want at least 10ms, or zero for %v", c.PollEvery, defaultPoll)
	}
	if c.MaxStreams < 0 {
		wrong("MaxStreams", "is negative: zero means %d", defaultMaxStreams)
	}
	c.Keys = slices.Clone(c.Keys)
	if c.WarnBefore == 0 {
		c.WarnBefore = defaultWarn
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = defaultHeartbeat
	}
	if c.PollEvery == 0 {
		c.PollEvery = defaultPoll
	}
	if c.MaxStreams == 0 {
		c.MaxStreams = defaultMaxStreams
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c, errors.Join(errs...)
}
