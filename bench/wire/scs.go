package wire

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/alexedwards/scs/goredisstore"
	"github.com/alexedwards/scs/pgxstore"
	"github.com/alexedwards/scs/v2"
	"github.com/redis/go-redis/v9"
)

// scsTable is what the documentation of pgxstore asks for.
const scsTable = `CREATE TABLE IF NOT EXISTS sessions (
	token TEXT PRIMARY KEY,
	data BYTEA NOT NULL,
	expiry TIMESTAMPTZ NOT NULL
);
CREATE INDEX IF NOT EXISTS sessions_expiry_idx ON sessions (expiry);`

// jsonCodec is the codec that users of scs write who want JSON.
type jsonCodec struct{}

type jsonSession struct {
	Deadline time.Time
	Values   map[string]any
}

func (jsonCodec) Encode(deadline time.Time, values map[string]any) ([]byte, error) {
	return json.Marshal(jsonSession{deadline, values})
}

func (jsonCodec) Decode(data []byte) (time.Time, map[string]any, error) {
	var s jsonSession
	err := json.Unmarshal(data, &s)
	return s.Deadline, s.Values, err
}

func openSCSGob(ctx context.Context, s setting) (*site, error) {
	return openSCS(ctx, s, scs.GobCodec{})
}

func openSCSJSON(ctx context.Context, s setting) (*site, error) {
	return openSCS(ctx, s, jsonCodec{})
}

func openSCS(ctx context.Context, s setting, codec scs.Codec) (*site, error) {
	sessions := scs.New() // on memstore
	sessions.Codec = codec
	if s.slide {
		sessions.IdleTimeout = idle
	}
	close := func() {}
	switch s.store {
	case "redis":
		options, err := redis.ParseURL(s.url)
		if err != nil {
			return nil, err
		}
		client := redis.NewClient(options)
		close = func() { _ = client.Close() }
		sessions.Store = goredisstore.New(client)
	case "postgres":
		pool, err := pool(ctx, s.url)
		if err != nil {
			return nil, err
		}
		if _, err := pool.Exec(ctx, scsTable); err != nil {
			pool.Close()
			return nil, err
		}
		store := pgxstore.New(pool)
		close = func() { store.StopCleanup(); pool.Close() }
		sessions.Store = store
	}
	return routes{
		start: func(w http.ResponseWriter, r *http.Request) {
			sessions.Put(r.Context(), "user", "visitor")
			sessions.Put(r.Context(), "visits", 0)
			sessions.Put(r.Context(), "list", []int{})
			say(w, "started")
		},
		read: func(w http.ResponseWriter, r *http.Request) {
			say(w, sessions.GetString(r.Context(), "user"))
		},
		write: func(w http.ResponseWriter, r *http.Request) {
			n := integer(sessions.Get(r.Context(), "visits")) + 1
			sessions.Put(r.Context(), "visits", n)
			say(w, fmt.Sprint(n))
		},
		append: func(w http.ResponseWriter, r *http.Request) {
			list := integers(sessions.Get(r.Context(), "list"))
			time.Sleep(work)
			sessions.Put(r.Context(), "list", append(list, number(r)))
			say(w, "appended")
		},
		list: func(w http.ResponseWriter, r *http.Request) {
			say(w, text(integers(sessions.Get(r.Context(), "list"))))
		},
	}.site(sessions.LoadAndSave, close), nil
}
