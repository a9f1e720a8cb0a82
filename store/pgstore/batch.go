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
	id         string
	to, before int64 // as from move
	askers     []*member
	settled    bool // there is no use in asking it again with others
}

// questions returns what the members ask, about each record once. A slide that goes
// as far as another one, and has as much to move, leaves that one nothing to do:
// both then see the same deadline.
func questions(now time.Time, members []*member) []question {
	all := make([]question, 0, len(members))
	for _, m := range members {
		to, before := move(m.slide, now)
		i := slices.IndexFunc(all, func(q question) bool { return q.id == m.id })
		if i < 0 {
			all = append(all, question{id: m.id, to: to, before: before, askers: []*member{m}})
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
	return all
}

// answer tells the askers. The data become theirs.
func (q *question) answer(rec session.Record, err error) {
	q.settled = true
	for i, m := range q.askers {
		m.rec, m.err, m.answered = rec, err, true
		if i > 0 {
			m.rec.Data = bytes.Clone(rec.Data)
		}
	}
}

// readAll answers the members, each as read would, with the same statements for
// several records. These pass over what somebody else has locked and is to move, so
// that nobody has to wait for a record that is not his; such a member gets no answer.
func (l *layout) readAll(ctx context.Context, c *pgx.Conn, members []*member) error {
	now := time.Now()
	all := questions(now, members)
	moves, always := false, true
	for _, q := range all {
		moves = moves || q.to > 0
		always = always && q.to > 0 && q.before == q.to
	}
	if always {
		err := ask(ctx, c, l.moveAll, now, all)
		all = slices.DeleteFunc(all, func(q question) bool { return q.settled })
		if err != nil || len(all) == 0 {
			return err
		}
		now = time.Now()
	}
	text := l.loadAll
	if moves {
		text = l.slideAll
	}
	if err := ask(ctx, c, text, now, all); err != nil {
		return err
	}
	for i := range all {
		if !all[i].settled {
			all[i].answer(session.Record{}, session.ErrNotFound)
		}
	}
	return nil
}

// ask sends a statement about several records, and hands out what it answers.
func ask(ctx context.Context, c *pgx.Conn, text string, now time.Time, all []question) error {
	ids, to, before := make([]string, len(all)), make([]float64, len(all)), make([]float64, len(all))
	for i, q := range all {
		ids[i], to[i], before[i] = q.id, seconds(q.to), seconds(q.before)
	}
	rows, err := c.Query(ctx, text, ids, seconds(now.UnixMilli()), to, before)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var n int64
		rec, err := scan(rows, &n)
		switch {
		case err == errRaced:
			all[n-1].settled = true
		case err == nil || err == session.ErrDamaged:
			all[n-1].answer(rec, err)
		default:
			return err
		}
	}
	return rows.Err()
}
