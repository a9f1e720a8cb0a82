package mysqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-sql-driver/mysql"
)

const defaultMaxConns = 32

// setUp is what every connection of the store's own pool begins with.
//
// A statement that waits for a lock goes on waiting at the server after its
// caller has given up; the timeouts bound that. The store tries again for as
// long as its caller waits.
const setUp = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;" +
	"SET SESSION autocommit = 1, time_zone = '+00:00', innodb_lock_wait_timeout = 5, lock_wait_timeout = 5," +
	" sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')"

// Open connects to the server that dsn names, in the form of the driver:
//
//	user:password@tcp(host:3306)/database?tls=true
//
// and returns a store with a pool of its own, set up for one round trip a
// request; what dsn says about that is overruled. It fails if the server does
// not answer before ctx is done, or refuses. It does not look at the table: see
// [Store.Migrate] and [Store.Ping].
//
// Call [Store.Close] when the store is no longer needed.
func Open(ctx context.Context, dsn string, opts Options) (*Store, error) {
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		// The cause may quote a part of dsn, and the password is in it.
		return nil, errors.New("pillbox: mysql open: this is not a DSN such as user:password@tcp(host:3306)/database")
	}
	return OpenConfig(ctx, cfg, opts)
}

// OpenConfig is [Open] for a configuration of the driver, which has more than
// fits into a DSN: a TLS configuration, or a password that expires. It does not
// change cfg.
func OpenConfig(ctx context.Context, cfg *mysql.Config, opts Options) (*Store, error) {
	cfg = cfg.Clone()
	cfg.MultiStatements = true
	if cfg.Logger == nil || cfg.Logger == mysql.NewConfig().Logger {
		log := opts.Logger
		if log == nil {
			log = slog.Default()
		}
		cfg.Logger = driverLog{log}
	}
	inner, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, fmt.Errorf("pillbox: mysql open: %w", err)
	}
	s := newStore(sql.OpenDB(connector{inner}), opts)
	s.own, s.addr, s.idle = true, cfg.Addr, opts.MaxConns
	if s.idle <= 0 {
		s.idle = defaultMaxConns
	}
	s.db.SetMaxOpenConns(s.idle)
	s.db.SetMaxIdleConns(s.idle)
	s.db.SetConnMaxIdleTime(time.Minute)
	// So that a name that has come to mean another server is asked for again.
	s.db.SetConnMaxLifetime(30 * time.Minute)

	err = s.bad
	if err == nil {
		err = clean(ctx, s.db.PingContext(ctx))
	}
	if err != nil {
		return nil, errors.Join(s.fail("open", err), s.db.Close())
	}
	s.startPruning(opts)
	return s, nil
}

// A connector sets up the connections that it makes.
type connector struct{ driver.Connector }

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := conn.(driver.ExecerContext).ExecContext(ctx, setUp, nil); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// renew gives up the connections that are idle, so that later calls dial: the
// server that has become read-only may have handed over to another one under
// the same name.
func (s *Store) renew() {
	if s.own {
		s.db.SetMaxIdleConns(-1)
		s.db.SetMaxIdleConns(s.idle)
	}
}

// driverLog passes on what the driver would print to standard error. What
// matters of it is in the errors of the calls, too.
type driverLog struct{ *slog.Logger }

func (l driverLog) Print(v ...any) { l.Debug("pillbox: mysql driver: " + fmt.Sprint(v...)) }
