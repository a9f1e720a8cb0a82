package mysqlstore

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/go-sql-driver/mysql"

	"github.com/pillboxgo/pillbox/store/internal/contract"
	"github.com/pillboxgo/pillbox/store/internal/sqltable"
)

var (
	errAnswer = errors.New("the server, or something on the way to it, gave a strange answer")
	errUser   = errors.New("Owner.User has more than 255 bytes")
)

// The server's errors that mean something to the store.
const (
	errDuplicateKey  = 1062
	errDeadlock      = 1213
	errLockTimeout   = 1205
	errRecordChanged = 1020 // MariaDB with innodb_snapshot_isolation
	errSyntax        = 1064
	errNoTable       = 1146
	errTableExists   = 1050
	errColumnExists  = 1060
	errKeyExists     = 1061
)

const (
	remedyMigrate  = "the table is missing, or the columns of the by-user index are: call Migrate once"
	remedyAccess   = "the server denies access: check the user, the password and what the user may do"
	remedyReadOnly = "the server is read-only: connect to the primary"
	remedyFull     = "the server's disk or table space is full"
	remedyStopped  = "the server stopped the statement, or is shutting down"
	remedyHost     = "the server does not let this host connect: check the user's host, and FLUSH HOSTS after many failed attempts"
	remedyBinlog   = "binlog_format is STATEMENT: set it to ROW or MIXED"
)

// messages says what an error of the server means and what to do about it. The
// server's own text may quote the id, the data or the statement.
var messages = map[uint16]string{
	3:               remedyFull,
	1020:            "another connection changed the same rows",
	1021:            remedyFull,
	1026:            remedyFull,
	1040:            "the server has no connection left: raise its max_connections, or lower MaxConns",
	1041:            "the server is out of memory",
	1044:            remedyAccess,
	1045:            remedyAccess,
	1046:            "no database is chosen: name one in the DSN",
	1049:            "there is no such database: create it, or name another one in the DSN",
	1053:            remedyStopped,
	1054:            remedyMigrate,
	1114:            remedyFull,
	1129:            remedyHost,
	1130:            remedyHost,
	1142:            remedyAccess,
	1143:            remedyAccess,
	1146:            remedyMigrate,
	1153:            "a record is larger than max_allowed_packet lets through: raise it",
	1203:            "the user has no connection left: raise max_user_connections, or lower MaxConns",
	1205:            "another connection holds the lock",
	1213:            "another connection won a deadlock",
	1226:            "the user has no connection left: raise max_user_connections, or lower MaxConns",
	1227:            remedyAccess,
	1251:            "the server asks for a login that the driver does not know",
	1290:            remedyReadOnly,
	1317:            remedyStopped,
	1366:            "the data is not UTF-8",
	1406:            "the data does not fit into its column",
	1665:            remedyBinlog,
	1698:            remedyAccess,
	1792:            remedyReadOnly,
	1836:            remedyReadOnly,
	1927:            remedyStopped,
	1969:            remedyStopped,
	3024:            remedyStopped,
	errDuplicateKey: "a row with this key exists",
	errSyntax:       "the server does not understand the statement",
	errTableExists:  "the table exists",
	errColumnExists: "the column exists",
	errKeyExists:    "the index exists",
}

// code returns the number of the server's error in err, or zero.
func code(err error) uint16 {
	if e, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return e.Number
	}
	return 0
}

func isReadOnly(err error) bool { return messages[code(err)] == remedyReadOnly }

// clean makes an error of the driver fit to be shown, and marks one that says
// that nothing was done and that the same may succeed at once.
func clean(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*mysql.MySQLError](err); ok {
		message := messages[e.Number]
		if message == "" {
			message = "see the server's documentation"
		}
		err = &mysql.MySQLError{Number: e.Number, SQLState: e.SQLState, Message: message}
		switch e.Number {
		case errDeadlock, errLockTimeout, errRecordChanged:
			return fmt.Errorf("%w: %w", sqltable.ErrAgain, err)
		}
		return err
	}
	if done := ctx.Err(); done != nil && !errors.Is(err, done) {
		return fmt.Errorf("%w: %w", done, err)
	}
	switch {
	case errors.Is(err, mysql.ErrInvalidConn):
		return fmt.Errorf("the connection broke before the answer came, and whether it was done is not known: %w", err)
	case errors.Is(err, driver.ErrBadConn):
		return fmt.Errorf("no connection works, or the server is read-only: %w", err)
	}
	return err
}

// fail names the operation and the cause, and for what an operator can do
// something about, the server.
func (s *Store) fail(operation string, err error) error {
	switch {
	case err == nil:
		return nil
	case contract.Answers(err) || s.addr == "":
		return fmt.Errorf("pillbox: mysql %s: %w", operation, err)
	}
	if isReadOnly(err) {
		s.renew()
	}
	if messages[code(err)] == remedyMigrate {
		err = fmt.Errorf("table %q: %w", s.table.plain, err)
	}
	return fmt.Errorf("pillbox: mysql %s: %s: %w", operation, s.addr, err)
}
