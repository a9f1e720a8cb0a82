package medicine_test

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/pillboxgo/pillbox/medicine/users"
	"github.com/pillboxgo/pillbox/session"
)

// A slowStore takes its time.
type slowStore struct {
	session.Store
	by atomic.Int64 // a time.Duration
}

func (s *slowStore) wait() { time.Sleep(time.Duration(s.by.Load())) }

func (s *slowStore) Load(ctx context.Context, id string, slide session.Slide) (session.Record, error) {
	s.wait()
	return s.Store.Load(ctx, id, slide)
}

func (s *slowStore) Create(ctx context.Context, id string, rec session.Record) error {
	s.wait()
	return s.Store.Create(ctx, id, rec)
}

func (s *slowStore) Update(ctx context.Context, id string, old, data []byte, deadline time.Time) error {
	s.wait()
	return s.Store.Update(ctx, id, old, data, deadline)
}

func (s *slowStore) Delete(ctx context.Context, id string, old []byte) error {
	s.wait()
	return s.Store.Delete(ctx, id, old)
}

// A failingTable fails when it is told to, with an error that nobody should see.
type failingTable struct {
	users.Table
	fail atomic.Bool
}

var errTable = errors.New("dial tcp 192.0.2.7:5432: password hunter2 refused")

func (f *failingTable) err() error {
	if f.fail.Load() {
		return errTable
	}
	return nil
}

func (f *failingTable) ByName(ctx context.Context, name string) (users.User, error) {
	if err := f.err(); err != nil {
		return users.User{}, err
	}
	return f.Table.ByName(ctx, name)
}

func (f *failingTable) ByID(ctx context.Context, id string) (users.User, error) {
	if err := f.err(); err != nil {
		return users.User{}, err
	}
	return f.Table.ByID(ctx, id)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
