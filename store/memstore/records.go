package memstore

import (
	"context"
	"fmt"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/internal/contract"
)

const maxData = 1 << 30 // far below what a header can say

// begin is what every method does first.
func (s *Store) begin(ctx context.Context, verb string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("pillbox: %s: %w", verb, err)
	}
	if s.closed.Load() {
		return errClosed
	}
	return nil
}

// since returns now as slot.used counts it.
func (s *Store) since(now time.Time) int64 { return int64(now.Sub(s.opened)) }

// Load implements [session.Store].
func (s *Store) Load(ctx context.Context, id string, slide session.Slide) (session.Record, error) {
	if err := s.begin(ctx, "load session"); err != nil {
		return session.Record{}, err
	}
	var k key
	if !k.set(s.seed, id) {
		return session.Record{}, session.ErrNotFound
	}
	now := time.Now()
	sh := &s.shards[k.shard()]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	i := sh.findLive(&k, now)
	if i < 0 {
		return session.Record{}, session.ErrNotFound
	}
	found := &sh.slots[i]
	found.used = s.since(now)
	if !slide.To.IsZero() && slide.Moves(time.UnixMilli(found.deadline)) {
		found.deadline = contract.Millis(slide.To)
	}
	return session.Record{Data: sh.data(i), Deadline: time.UnixMilli(found.deadline)}, nil
}

// Create implements [session.Store].
func (s *Store) Create(ctx context.Context, id string, rec session.Record) error {
	if err := s.begin(ctx, "create session"); err != nil {
		return err
	}
	var k key
	if !k.set(s.seed, id) {
		return errID
	}
	now := time.Now()
	if !rec.Deadline.After(now) {
		return errDeadline
	}
	if err := s.fits(&k, rec.Data); err != nil {
		return err
	}
	err := error(nil)
	if rec.Owner.User != "" {
		err = s.createOwned(&k, rec, now)
	} else {
		sh := &s.shards[k.shard()]
		sh.mu.Lock()
		err = sh.create(&k, rec, 0, now)
		sh.mu.Unlock()
	}
	if err != nil {
		return err
	}
	s.evict(now)
	s.sweeper.start(s)
	return nil
}

// create adds a record unless a live one is there.
func (sh *shard) create(k *key, rec session.Record, number uint64, now time.Time) error {
	if i := sh.find(k); i >= 0 {
		if sh.slots[i].live(now) {
			return session.ErrExists
		}
		sh.remove(i)
	}
	sh.sweep(sweepOnCreate, now)
	if len(sh.slots) == maxSlots {
		return errTooLarge
	}
	sh.insert(k, rec.Data, number, contract.Millis(rec.Deadline), sh.store.since(now))
	return nil
}

// fits refuses data that the store could only keep beyond its bound.
func (s *Store) fits(k *key, data []byte) error {
	size := int64(headerSize + numberSize + k.size + len(data) + overhead)
	if len(data) > maxData || s.options.MaxBytes > 0 && size > s.options.MaxBytes {
		return errTooLarge
	}
	return nil
}

// Update implements [session.Store].
func (s *Store) Update(ctx context.Context, id string, old, data []byte, deadline time.Time) error {
	if err := s.begin(ctx, "update session"); err != nil {
		return err
	}
	now := time.Now()
	if !deadline.After(now) {
		return errDeadline
	}
	var k key
	if !k.set(s.seed, id) {
		return session.ErrNotFound
	}
	if err := s.fits(&k, data); err != nil {
		return err
	}
	sh := &s.shards[k.shard()]
	if err := sh.update(&k, old, data, deadline, now); err != nil {
		return err
	}
	s.evict(now)
	return nil
}

func (sh *shard) update(k *key, old, data []byte, deadline, now time.Time) error {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	i := sh.findLive(k, now)
	if i < 0 {
		return session.ErrNotFound
	}
	if !sh.holds(i, old) {
		return session.ErrConflict
	}
	found := &sh.slots[i]
	found.used = sh.store.since(now)
	found.deadline = contract.Millis(deadline)
	sh.replace(i, data)
	return nil
}

// Touch implements [session.Store].
func (s *Store) Touch(ctx context.Context, id string, deadline time.Time) error {
	if err := s.begin(ctx, "touch session"); err != nil {
		return err
	}
	var k key
	if !k.set(s.seed, id) {
		return session.ErrNotFound
	}
	now := time.Now()
	sh := &s.shards[k.shard()]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	i := sh.findLive(&k, now)
	if i < 0 {
		return session.ErrNotFound
	}
	found := &sh.slots[i]
	found.used = s.since(now)
	found.deadline = max(found.deadline, contract.Millis(deadline))
	return nil
}

// Delete implements [session.Store].
func (s *Store) Delete(ctx context.Context, id string, old []byte) error {
	if err := s.begin(ctx, "delete session"); err != nil {
		return err
	}
	absent := error(nil)
	if old != nil {
		absent = session.ErrNotFound
	}
	var k key
	if !k.set(s.seed, id) {
		return absent
	}
	now := time.Now()
	sh := &s.shards[k.shard()]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	i := sh.findLive(&k, now)
	if i < 0 {
		return absent
	}
	if old != nil && !sh.holds(i, old) {
		return session.ErrConflict
	}
	sh.remove(i)
	return nil
}
