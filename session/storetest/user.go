package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

func hasUserIndex(s *subject) bool { _, ok := s.Store.(session.UserIndex); return ok }

func (s *subject) users() session.UserIndex { return s.Store.(session.UserIndex) }

// signIn creates a record of the user's that lives for an hour.
func (s *subject) signIn(ctx context.Context, id, user string) error {
	err := s.Create(ctx, id, owned(user, in(0)))
	if err != nil {
		return failf("Create with an owner: %w", err)
	}
	return nil
}

func owned(user string, asOf time.Time) session.Record {
	return session.Record{
		Data:     []byte(one),
		Deadline: in(time.Hour),
		Owner:    session.Owner{User: user, AsOf: asOf},
	}
}

// bounded is owned with a bound on the user's records.
func bounded(user string, max int, reject bool) session.Record {
	rec := owned(user, in(0))
	rec.Owner.Max, rec.Owner.Reject = max, reject
	return rec
}

// has returns an error unless the user's live records are those under ids, in
// that order.
func (s *subject) has(ctx context.Context, user string, ids ...string) error {
	all, err := s.users().UserIDs(ctx, user)
	if err != nil {
		return failf("UserIDs: %w", err)
	}
	var live []string
	for _, id := range all {
		switch _, err := s.Load(ctx, id, session.Slide{}); {
		case err == nil:
			live = append(live, id)
		case !errors.Is(err, session.ErrNotFound):
			return failf("Load: %w", err)
		}
	}
	if !slices.Equal(live, ids) {
		return failf("UserIDs(%.40q) has the live records %q; want %q", user, live, ids)
	}
	return nil
}

// revoke returns an error unless RevokeUser ends n records.
func (s *subject) revoke(ctx context.Context, user string, at time.Time, n int, except ...string) error {
	got, err := s.users().RevokeUser(ctx, user, at, except...)
	if err != nil {
		return failf("RevokeUser: %w", err)
	}
	if got != n {
		return failf("RevokeUser(%.40q) ended %d records; want %d", user, got, n)
	}
	return nil
}

// strangers are names of users that an engine may take for each other.
var strangers = []string{
	"alice", "Alice", "ALICE", "alice ", " alice", "alic", "alicea", "álice", "alíce", "a\u0301lice",
	"a%", "a_ice", "%", "_", "*", "a*", "?", "[a]", "[a-z]*", "\\", "a\\%", "'", "''", `"`, "`", "{a}", "{alice}",
	":", "a:b", "a:", "$a", "a.b", "..", "/", "0", "00", "1", "1.0", "null", "NULL", "ß", "ss", "ſ", "s", "K", "\u212a", "k",
	"😀", "🍣", "🍺", "ａ", "a", "A", "\t", " ", "\u00a0", "\u200b", "alice\u200b",
	strings.Repeat("x", 254), strings.Repeat("x", 255), strings.Repeat("x", 254) + "y", strings.Repeat("x", 254) + "X",
	strings.Repeat("é", 127), strings.Repeat("😀", 63),
}

var userCases = []testCase{
	{
		name:  "UserIDs",
		why:   "UserIDs returns the ids of the user's live records, oldest first",
		needs: hasUserIndex,
		run: func(ctx context.Context, s *subject) error {
			var ids []string
			for i := range 12 {
				id := fmt.Sprintf("id%d", i*7%12) // not in the order of ids
				ids = append(ids, id)
				if err := s.signIn(ctx, id, "alice"); err != nil {
					return err
				}
				if err := s.signIn(ctx, "b"+id, "bob"); err != nil {
					return err
				}
			}
			if err := s.create(ctx, "anonymous", one); err != nil {
				return err
			}
			if err := s.has(ctx, "alice", ids...); err != nil {
				return err
			}
			// What is used does not become younger or older.
			if err := s.Update(ctx, ids[3], []byte(one), []byte(two), in(time.Minute)); err != nil {
				return failf("Update: %w", err)
			}
			if err := s.Touch(ctx, ids[5], in(9*time.Hour)); err != nil {
				return failf("Touch: %w", err)
			}
			if err := s.Delete(ctx, ids[7], nil); err != nil {
				return failf("Delete: %w", err)
			}
			if err := s.Delete(ctx, ids[8], []byte(one)); err != nil {
				return failf("Delete: %w", err)
			}
			if err := s.has(ctx, "alice", slices.Concat(ids[:7], ids[9:])...); err != nil {
				return err
			}
			return s.has(ctx, "nobody")
		},
	},
	{
		name:  "UserIDsReused",
		why:   "UserIDs returns ids of the user's records: one under an id that was another user's before is not the other's",
		needs: hasUserIndex,
		run: func(ctx context.Context, s *subject) error {
			dead, err := s.dead(ctx, owned("alice", in(0)), nil)
			if err != nil {
				return err
			}
			if err := s.signIn(ctx, "deleted", "alice"); err != nil {
				return err
			}
			if err := s.Delete(ctx, "deleted", nil); err != nil {
				return failf("Delete: %w", err)
			}
			if err := s.signIn(ctx, "revoked", "alice"); err != nil {
				return err
			}
			if err := s.revoke(ctx, "alice", in(-time.Hour), 1); err != nil {
				return err
			}
			for _, id := range []string{dead, "deleted"} {
				if err := s.signIn(ctx, id, "bob"); err != nil {
					return err
				}
			}
			if err := s.create(ctx, "revoked", one); err != nil {
				return err
			}
			return firstError(
				func() error { return s.has(ctx, "alice") },
				func() error { return s.has(ctx, "bob", dead, "deleted") },
				func() error { return s.revoke(ctx, "alice", in(0), 0) },
				func() error { return s.has(ctx, "bob", dead, "deleted") },
				func() error { return s.holds(ctx, "revoked", one) },
			)
		},
	},
	{
		name:  "UpdateKeepsOwner",
		why:   "Update: the record's owner stays what it was",
		needs: hasUserIndex,
		run: func(ctx context.Context, s *subject) error {
			if err := s.signIn(ctx, "id", "alice"); err != nil {
				return err
			}
			if err := s.Update(ctx, "id", []byte(one), []byte(two), in(time.Hour)); err != nil {
				return failf("Update: %w", err)
			}
			if err := s.has(ctx, "alice", "id"); err != nil {
				return err
			}
			if err := s.revoke(ctx, "alice", in(0), 1); err != nil {
				return err
			}
			return s.gone(ctx, "id")
		},
	},
	{
		name:  "RevokeUser",
		why:   "RevokeUser ends the user's live records but those under the ids in except, and returns how many it ended",
		needs: hasUserIndex,
		run: func(ctx context.Context, s *subject) error {
			dead, err := s.dead(ctx, owned("alice", in(0)), nil)
			if err != nil {
				return err
			}
			for _, id := range []string{"a1", "a2", "a3", "a4", "a5"} {
				if err := s.signIn(ctx, id, "alice"); err != nil {
					return err
				}
			}
			for _, id := range []string{"b1", "b2"} {
				if err := s.signIn(ctx, id, "bob"); err != nil {
					return err
				}
			}
			if err := s.create(ctx, "anonymous", one); err != nil {
				return err
			}
			if err := s.Delete(ctx, "a5", nil); err != nil {
				return failf("Delete: %w", err)
			}
			return firstError(
				func() error {
					return s.revoke(ctx, "alice", in(0), 2, "a2", "a4", "a2", "b1", "unknown", dead)
				},
				func() error { return s.has(ctx, "alice", "a2", "a4") },
				func() error { return s.has(ctx, "bob", "b1", "b2") },
				func() error { return s.gone(ctx, "a1") },
				func() error { return s.gone(ctx, "a3") },
				func() error { return s.revoke(ctx, "alice", in(0), 2) },
				func() error { return s.revoke(ctx, "alice", in(0), 0) },
				func() error { return s.revoke(ctx, "nobody", in(0), 0) },
				func() error { return s.has(ctx, "alice") },
				func() error { return s.has(ctx, "bob", "b1", "b2") },
				func() error { return s.holds(ctx, "anonymous", one) },
			)
		},
	},
	{
		name:  "RevokeNobody",
		why:   "an empty Owner.User means that nobody is signed in: such records belong to no user, so none ends with one",
		needs: hasUserIndex,
		run: func(ctx context.Context, s *subject) error {
			if err := s.create(ctx, "anonymous", one); err != nil {
				return err
			}
			// Whether this is an error is not said.
			_, _ = s.users().RevokeUser(ctx, "", in(0))
			if err := s.holds(ctx, "anonymous", one); err != nil {
				return failf("after the empty user was revoked: %w", err)
			}
			// Nothing else of an Owner applies.
			for i := range 3 {
				rec := bounded("", 1, true)
				rec.Owner.AsOf = in(-time.Hour)
				if err := s.Create(ctx, fmt.Sprint(i), rec); err != nil {
					return failf("Create with an empty user: %w", err)
				}
			}
			return s.holds(ctx, "0", one)
		},
	},
	{
		name:  "RevokeUserExceptMany",
		why:   "RevokeUser ends the user's live records but those under the ids in except, however many",
		needs: hasUserIndex,
		run: func(ctx context.Context, s *subject) error {
			var ids, except []string
			for i := range 120 {
				id := fmt.Sprintf("%0128d", i)
				ids = append(ids, id)
				if i%3 > 0 {
					except = append(except, id)
				}
			}
			err := together(racers, func(i int) error {
				for ; i < len(ids); i += racers {
					if err := s.signIn(ctx, ids[i], "alice"); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
			if err := s.revoke(ctx, "alice", in(0), len(ids)-len(except), except...); err != nil {
				return err
			}
			all, err := s.users().UserIDs(ctx, "alice")
			if err != nil {
				return err
			}
			for i, id := range ids {
				_, err := s.Load(ctx, id, session.Slide{})
				if live := err == nil; live != (i%3 > 0) || live && !slices.Contains(all, id) {
					return failf("record %d of %d is live: %t; want only the excepted ones to be, and to be listed", i, len(ids), live)
				}
			}
			return nil
		},
	},
	{
		name:  "RevokedSignIn",
		why:   "Create returns ErrRevoked, and stores nothing, if RevokeUser was called for this user with a moment that is not before AsOf",
		needs: hasUserIndex,
		run: func(ctx context.Context, s *subject) error {
			at := in(0)
			if err := s.revoke(ctx, "alice", at, 0); err != nil { // before she has a record
				return err
			}
			for i, step := range []struct {
				user string
				asOf time.Time
				want error
			}{
				{"alice", at.Add(-time.Hour), session.ErrRevoked},
				{"alice", at.Add(-time.Millisecond), session.ErrRevoked},
				{"alice", at, session.ErrRevoked},
				{"alice", time.Time{}, session.ErrRevoked},
				{"alice", at.Add(time.Millisecond), nil},
				{"alice", at.Add(time.Hour), nil},
				{"bob", at.Add(-time.Hour), nil},
				{"bob", time.Time{}, nil},
				{"", at.Add(-time.Hour), nil},
			} {
				id := fmt.Sprint("id", i)
				err := s.Create(ctx, id, owned(step.user, step.asOf))
				if step.want == nil {
					if err != nil {
						return failf("Create for %q as of %v after a revocation = %w", step.user, step.asOf.Sub(at), err)
					}
					continue
				}
				if err := want(fmt.Sprintf("Create for %q as of %v after a revocation", step.user, step.asOf.Sub(at)), err, step.want); err != nil {
					return err
				}
				if err := s.gone(ctx, id); err != nil {
					return err
				}
			}
			return s.has(ctx, "alice", "id4", "id5")
		},
	},
	{
		name:  "RevokedLatest",
		why:   "RevokeUser: of several calls the latest at counts",
		needs: hasUserIndex,
		run: func(ctx context.Context, s *subject) error {
			at := in(0)
			for _, at := range []time.Time{at.Add(-time.Minute), at, at.Add(-time.Hour)} {
				if err := s.revoke(ctx, "alice", at, 0); err != nil {
					return err
				}
			}
			err := s.Create(ctx, "id", owned("alice", at))
			if err := want("Create as of the latest of three revocations", err, session.ErrRevoked); err != nil {
				return err
			}
			if err := s.revoke(ctx, "alice", at.Add(time.Minute), 0); err != nil {
				return err
			}
			err = s.Create(ctx, "id", owned("alice", at.Add(time.Second)))
			return want("Create as of a moment before the latest of four revocations", err, session.ErrRevoked)
		},
	},
	{
		name:  "Strangers",
		why:   "Owner.User is the application's own name for the user, at most 255 bytes: different names are different users",
		needs: hasUserIndex,
		run: func(ctx context.Context, s *subject) error {
			for i, user := range strangers {
				if err := s.signIn(ctx, fmt.Sprint("id", i), user); err != nil {
					return failf("user %.40q: %w", user, err)
				}
			}
			for i, user := range strangers {
				if err := s.has(ctx, user, fmt.Sprint("id", i)); err != nil {
					return err
				}
			}
			for i, user := range strangers {
				if err := s.revoke(ctx, user, in(0), 1); err != nil {
					return err
				}
				if i+1 < len(strangers) {
					next := strangers[i+1]
					if err := s.has(ctx, next, fmt.Sprint("id", i+1)); err != nil {
						return failf("after %.40q was revoked: %w", user, err)
					}
					if err := s.Create(ctx, fmt.Sprint("more", i), owned(next, in(-time.Hour))); err != nil {
						return failf("Create for %.40q after %.40q was revoked: %w", next, user, err)
					}
					if err := s.Delete(ctx, fmt.Sprint("more", i), nil); err != nil {
						return err
					}
				}
			}
			return nil
		},
	},
}
