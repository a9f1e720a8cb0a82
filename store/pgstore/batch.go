package pgstore

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pillboxgo/pillbox/session"
)

// A question is what a batch asks about one record, for those members who want to
// know it.
type question struct {
	to, before int64 // as from move
	askers     []*member
	answered   bool
}

// questions returns the ids that the members ask for, each once, and what they ask.
// A slide that goes as far as another one, and has as much to move, leaves that one
// nothing to do: both then see the same deadline.
func questions(now time.Time, members []*member) (ids []string, all []question) {
	for _, m := range members {
		to, before := move(m.slide, now)
		i := slices.Index(ids, m.id)
		if i < 0 {
			ids = append(ids, m.id)
			all = append(all, question{to: to, before: before, askers: []*member{m}})
			continue
		}
		q := &all[i]
		switch {
		case to <= q.to && before <= q.before:
		case to >= q.to && before >= q.before:
			q.to, q.before = to, before
		default:
			continue
		}
		q.askers = append(q.askers, m)
	}
	return ids, all
}

// answer tells the askers. The data become theirs.
func (q *question) answer(rec session.Record, err error) {
	q.answered = true
	for i, m := range q.askers {
		m.rec, m.err, m.answered = rec, err, true
		if i > 0 {
			m.rec.Data = bytes.Clone(rec.Data)
		}
	}
}

// readAll answers the members, each as read would, with one statement. It passes
// over records that somebody else has locked and is to move, so that nobody has to
// wait for the record of somebody else: these members get no answer.
func (l *layout) readAll(ctx context.Context, c *pgx.Conn, members []*member) error {
	now := time.Now()
	ids, asked := questions(now, members)
	to, before := make([]float64, len(ids)), make([]float64, len(ids))
	moves, always := false, true
	for i, q := range asked {
		to[i], before[i] = seconds(q.to), seconds(q.before)
		moves = moves || q.to > 0
		always = always && q.to > 0 && q.before == q.to
	}
	text, args := l.loadAll, []any{ids, seconds(now.UnixMilli())}
	switch {
	case always:
		text, args = l.moveAll, append(args, to)
	case moves:
		text, args = l.slideAll, append(args, to, before)
	}
	rows, err := c.Query(ctx, text, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var n int64
		rec, err := scan(rows, &n)
		switch {
		case err == errRaced:
			asked[n-1].answered = true // by nobody here
		case err == nil || err == session.ErrDamaged:
			asked[n-1].answer(rec, err)
		default:
			return err
		}
	}
	if rows.Err() == nil && !always {
		for i := range asked {
			if !asked[i].answered {
				asked[i].answer(session.Record{}, session.ErrNotFound)
			}
		}
	}
	return rows.Err()
}
