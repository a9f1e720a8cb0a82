package pgstore

import (
	"context"
	"regexp"
	"time"

	"github.com/jackc/pgx/v5"
)

// ownExpiry finds when a session of Express says that it expires. The cookie is
// the first thing that Express writes. Asking the server for it would fail on
// rows whose other members it cannot turn into text, such as "\u0000".
var ownExpiry = regexp.MustCompile(`^\{"cookie":\{[^{}]*"expires":"([^"]*)"`)

// compareZones tells the logger if rows that another application has written
// look as if its connections had another TimeZone.
//
// The server does not tell one connection about the TimeZone of another. But a
// session of Express says itself when it expires, in UTC, and until it is touched
// the column expire says the same. Where the two differ by the same quarters of
// an hour in several rows, and agree in fewer, that is no coincidence.
func (s *Store) compareZones(ctx context.Context, c *pgx.Conn, known *layout) error {
	rows, err := c.Query(ctx, known.samples)
	if err != nil {
		return err
	}
	times := map[time.Duration]int{}
	var start string
	var micros *int64
	_, err = pgx.ForEachRow(rows, []any{&start, &micros}, func() error {
		expires := ownExpiry.FindStringSubmatch(start)
		if expires == nil || micros == nil {
			return nil
		}
		says, err := time.Parse("2006-01-02T15:04:05.000Z", expires[1])
		if err != nil {
			return nil // not Express's
		}
		if says.Nanosecond() > 0 {
			says = says.Truncate(time.Second).Add(time.Second)
		}
		times[time.UnixMicro(*micros).Sub(says)]++
		return nil
	})
	if err != nil {
		return err
	}
	for shift, n := range times {
		if n >= 3 && n > times[0] && shift != 0 && shift%(15*time.Minute) == 0 && shift.Abs() <= 14*time.Hour {
			s.log.Warn("pillbox: postgres: other connections seem to have another TimeZone than this application's,"+
				" so that sessions end too early or too late: give the database one, and set none in connection strings",
				"difference", shift, "rows", n)
		}
	}
	return nil
}
