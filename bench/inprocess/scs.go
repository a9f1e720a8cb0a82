package inprocess

import (
	"context"
	"database/sql"
	"encoding/gob"
	"encoding/json"
	"errors"
	"path/filepath"
	"time"

	"github.com/alexedwards/scs/sqlite3store"
	"github.com/alexedwards/scs/v2"
	"github.com/alexedwards/scs/v2/memstore"
	_ "modernc.org/sqlite" // the driver that sqlitestore has, too
)

func init() {
	gob.Register([]string{}) // as a user of gob has to
}

// jsonCodec is a codec for scs, as its documentation suggests writing one.
type jsonCodec struct{}

type jsonSession struct {
	Deadline time.Time      `json:"deadline"`
	Values   map[string]any `json:"values"`
}

func (jsonCodec) Encode(deadline time.Time, values map[string]any) ([]byte, error) {
	return json.Marshal(jsonSession{deadline, values})
}

func (jsonCodec) Decode(b []byte) (time.Time, map[string]any, error) {
	var s jsonSession
	err := json.Unmarshal(b, &s)
	return s.Deadline, s.Values, err
}

// scsOps are the ops of a manager whose codec gives numbers as T.
func scsOps[T int | float64](m *scs.SessionManager) ops[request] {
	return ops[request]{
		get: func(c request) (int, bool, error) {
			n, ok := m.Get(c.r.Context(), "count").(T)
			return int(n), ok, nil
		},
		set: func(c request, n int) error {
			m.Put(c.r.Context(), "count", n)
			return nil
		},
		put: func(c request, values map[string]any) error {
			for key, v := range values {
				m.Put(c.r.Context(), key, v)
			}
			return nil
		},
	}
}

// scsSite returns the site of a manager. With a Secure cookie it has scs's own
// settings: no idle limit, so that reading never writes.
func scsSite(m *scs.SessionManager, closing func() error) site {
	m.Cookie.Secure = true
	j := new(job)
	o := scsOps[int](m)
	if _, ok := m.Codec.(jsonCodec); ok {
		o = scsOps[float64](m)
	}
	return newWebSite(j, m.LoadAndSave(serve(j, o)), closing)
}

// newScs returns a manager without the store, and its cleaning, that scs.New
// makes.
func newScs(store scs.Store, codec scs.Codec) *scs.SessionManager {
	m := scs.New()
	stop(m.Store.(*memstore.MemStore))
	m.Store, m.Codec = store, codec
	return m
}

// stop ends a store's cleaning, which begins on a goroutine that may not have
// run yet, and which would keep the store for ever.
func stop(store *memstore.MemStore) {
	time.Sleep(100 * time.Microsecond)
	store.StopCleanup()
}

// openScs keeps sessions in memory.
func openScs(codec scs.Codec) func() (site, error) {
	return func() (site, error) {
		store := memstore.New()
		return scsSite(newScs(store, codec), func() error { stop(store); return nil }), nil
	}
}

// The pragmas are those of sqlitestore, which makes the two comparable; scs
// leaves them to its user. synchronous FULL is also what SQLite itself takes.
const scsPragmas = "?_pragma=journal_mode(wal)&_pragma=synchronous(full)&_pragma=busy_timeout(5000)"

// scsInSQLite keeps sessions in a database in a folder of its own.
func scsInSQLite() (site, error) {
	folder, remove, err := temporary()
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", filepath.Join(folder, "sessions.db")+scsPragmas)
	if err != nil {
		return nil, errors.Join(err, remove())
	}
	_, err = db.ExecContext(context.Background(), `
		CREATE TABLE sessions (token TEXT PRIMARY KEY, data BLOB NOT NULL, expiry REAL NOT NULL);
		CREATE INDEX sessions_expiry_idx ON sessions (expiry)`)
	if err != nil {
		return nil, errors.Join(err, db.Close(), remove())
	}
	store := sqlite3store.NewWithCleanupInterval(db, 0)
	return scsSite(newScs(store, scs.GobCodec{}), func() error { return errors.Join(db.Close(), remove()) }), nil
}
