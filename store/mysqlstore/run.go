package mysqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"strings"

	"github.com/pillboxgo/pillbox/store/internal/contract"
	"github.com/pillboxgo/pillbox/store/internal/sqltable"
)

// A querier is the pool, or one connection of it.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// do runs work, and runs it again for as long as it gives way to other work. The
// layout is that of the table, which do looks at before the first call.
func (s *Store) do(ctx context.Context, operation string, work func(l *layout) error) error {
	err := sqltable.Retry(ctx, func() error {
		l, err := s.layout(ctx)
		if err != nil {
			return err
		}
		return work(l)
	})
	return s.fail(operation, err)
}

// exec runs a statement and returns the number of affected rows, and the insert
// id, which some statements use to tell more.
func exec(ctx context.Context, q querier, statement string) (affected, told int64, err error) {
	result, err := q.ExecContext(ctx, statement)
	if err != nil {
		return 0, 0, clean(ctx, err)
	}
	affected, err = result.RowsAffected()
	if err == nil {
		told, err = result.LastInsertId()
	}
	return affected, told, err
}

// A step is a statement of several. One that returns rows has columns, and a
// function that is called for each row.
type step struct {
	statement string
	columns   int
	row       func(scan func(...any) error) error
}

// query runs one statement that returns rows.
func query(ctx context.Context, q querier, statement string, columns int, row func(scan func(...any) error) error) error {
	return steps(ctx, q, true, step{statement, columns, row})
}

// steps runs statements one after the other, up to the first that fails. Where
// the connection takes several at once they are one round trip, which nothing
// but a failure divides.
func steps(ctx context.Context, q querier, several bool, all ...step) error {
	if !several {
		for _, one := range all {
			if err := steps(ctx, q, true, one); err != nil {
				return err
			}
		}
		return nil
	}
	statements := make([]string, len(all))
	var results []step
	for i, one := range all {
		statements[i] = one.statement
		if one.columns > 0 {
			results = append(results, one)
		}
	}
	joined := strings.Join(statements, ";")
	if len(results) == 0 {
		_, err := q.ExecContext(ctx, joined)
		return clean(ctx, err)
	}
	rows, err := q.QueryContext(ctx, joined)
	if err != nil {
		return clean(ctx, err)
	}
	defer rows.Close()
	for i, result := range results {
		if i > 0 && !rows.NextResultSet() {
			if err := rows.Err(); err != nil {
				return clean(ctx, err)
			}
			return errAnswer
		}
		if err := read(ctx, rows, result); err != nil {
			return err
		}
	}
	// What comes after the last rows may have failed.
	for rows.NextResultSet() {
	}
	if err := rows.Err(); err != nil {
		return clean(ctx, err)
	}
	return clean(ctx, rows.Close())
}

func read(ctx context.Context, rows *sql.Rows, result step) error {
	// No rows because there is no such record is an answer. No rows because
	// something on the way has dropped them is not.
	columns, err := rows.Columns()
	if err != nil {
		return clean(ctx, err)
	}
	if len(columns) != result.columns {
		return errAnswer
	}
	for rows.Next() {
		if err := result.row(rows.Scan); err != nil {
			return err
		}
	}
	return clean(ctx, rows.Err())
}

// begin is the first steps of a transaction.
func (s *Store) begin() []step {
	start := []step{{statement: "START TRANSACTION"}}
	if !s.own {
		// Between them, keys that are not there would be locked as well.
		start = append([]step{{statement: "SET TRANSACTION ISOLATION LEVEL READ COMMITTED"}}, start...)
	}
	return start
}

var commit = step{statement: "COMMIT"}

// transact runs work on a connection of its own, on which work begins and
// commits a transaction. Unless work succeeds, what it did is undone.
//
// The transactions of database/sql commit, and roll back, without a context: on
// a network that swallows everything they would outlast their caller.
func (s *Store) transact(ctx context.Context, work func(q querier) error) error {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return clean(ctx, err)
	}
	defer conn.Close()
	err = work(conn)
	if err == nil {
		return nil
	}
	if contract.Answers(err) || code(err) != 0 {
		if _, rollback := conn.ExecContext(ctx, "ROLLBACK"); rollback == nil {
			return err
		}
	}
	// The server rolls back what a connection leaves behind.
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	return err
}
