package session

import (
	"context"
	"errors"
	"time"
)

// While Config.RenewGrace lasts, a renewed session has two ids: the old one,
// which may only read, and its heir. Whoever ends or opens the session by
// either of them means both.

// maxHeirs bounds how many renewals within one grace are followed.
const maxHeirs = 8

// follow returns the key and record under which a session goes on that has been
// renewed, and the session itself if it has not been. Its error is [ErrNotFound]
// if the session went on and has ended since.
func (m *Manager) follow(ctx context.Context, key string, rec *record) (string, *record, error) {
	for range maxHeirs {
		if rec.meta.moved.IsZero() {
			return key, rec, nil
		}
		key = rec.meta.heir
		rec = new(record)
		if err := m.fetch(ctx, rec, key, time.Now(), Slide{}); err != nil {
			return key, nil, err
		}
	}
	return "", nil, ErrNotFound
}

// terminate ends a live session. Where renewed sessions have heirs, it deletes
// what it has read, and looks again where that has changed: the change may have
// been a renewal.
func (m *Manager) terminate(ctx context.Context, key string, rec *record) error {
	first := key
	for range maxHeirs {
		if m.config.RenewGrace == 0 && rec.meta.moved.IsZero() {
			break
		}
		heir, now, err := m.follow(ctx, key, rec)
		if err == nil {
			err = m.store.Delete(ctx, heir, now.raw)
		}
		if errors.Is(err, ErrConflict) {
			key, rec = heir, new(record)
			if err = m.fetch(ctx, rec, key, time.Now(), Slide{}); err == nil {
				continue
			}
		}
		switch {
		case errors.Is(err, ErrDamaged):
			err = m.store.Delete(ctx, heir, nil)
		case errors.Is(err, ErrNotFound):
			err = nil // it has ended
		}
		if err == nil && heir != first {
			err = m.store.Delete(ctx, first, nil)
		}
		return err
	}
	return m.store.Delete(ctx, key, nil)
}
