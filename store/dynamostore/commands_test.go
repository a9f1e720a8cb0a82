package dynamostore_test

import (
	"maps"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/dynamostore"
)

func counts(pairs ...any) map[string]int {
	m := make(map[string]int)
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i].(string)] = pairs[i+1].(int)
	}
	return m
}

// What each method and each request costs, as the server counts its commands.
func TestCommands(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		if l.gateway == nil {
			return // Amazon's own does not say
		}
		ctx := t.Context()
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Error(err)
			}
		}
		load := func(s *dynamostore.Store, slide session.Slide) func() {
			return func() { must(second(s.Load(ctx, "id", slide))) }
		}
		one, two := `{"n":1}`, `{"n":2}`
		reader := l.open(t, l.client, dynamostore.Options{Remember: -1})
		stranger := l.open(t, l.client, dynamostore.Options{})
		site := newSite(t, l.store)
		for _, step := range []struct {
			name string
			do   func()
			want map[string]int
		}{
			{"Create", func() { must(l.store.Create(ctx, "id", record(one))) }, counts("PutItem", 1)},
			{"Load", load(l.store, session.Slide{}), counts("GetItem", 1)},
			{"Load with a slide that moves", load(l.store, session.Slide{To: in(2 * time.Hour)}), counts("UpdateItem", 1)},
			{"Load with a slide that does not", load(l.store, session.Slide{To: in(3 * time.Hour), Before: in(time.Hour)}), counts("GetItem", 1)},
			{"Load with a slide that moves, by a process that has not seen the session", load(stranger, session.Slide{To: in(4 * time.Hour)}), counts("UpdateItem", 1)},
			{"Load with a slide that moves, without a memory", load(reader, session.Slide{To: in(5 * time.Hour)}), counts("GetItem", 1, "UpdateItem", 1)},
			{"Load with a slide that does not, without a memory", load(reader, session.Slide{To: in(4 * time.Hour)}), counts("GetItem", 1)},
			{"Update", func() { must(l.store.Update(ctx, "id", []byte(one), []byte(two), in(time.Hour))) }, counts("UpdateItem", 1)},
			{"Touch", func() { must(l.store.Touch(ctx, "id", in(4*time.Hour))) }, counts("UpdateItem", 1)},
			{"Delete of what was read", func() { must(l.store.Delete(ctx, "id", []byte(two))) }, counts("DeleteItem", 1)},
			{"Delete", func() { must(l.store.Delete(ctx, "id", nil)) }, counts("DeleteItem", 1)},
			{"a request that does not use its session", func() { site.visit("OPTIONS") }, counts()},
			{"a first visit that changes", func() { site.visit("POST") }, counts("PutItem", 1)},
			{"a request that reads", func() { site.visit("GET") }, counts("GetItem", 1)},
			{"a request that changes", func() { site.visit("POST") }, counts("GetItem", 1, "UpdateItem", 1)},
			{"a request that reads when the deadline is due", func() { site.visit("GET") }, counts("UpdateItem", 1)},
			{"a request that changes when the deadline is due", func() { site.visit("POST") }, counts("UpdateItem", 2)},
		} {
			if step.want["GetItem"] == 0 && step.want["UpdateItem"] > 0 && step.name[0] == 'a' {
				l.age(t, time.Minute)
				site = rejoin(t, site, l.open(t, l.client, dynamostore.Options{}))
			}
			if got := l.gateway.count(step.do); !maps.Equal(got, step.want) {
				t.Errorf("%s: the server got %v; want %v", step.name, got, step.want)
			}
		}
	})
}

// rejoin returns another process of the site, with the same visitor.
func rejoin(t *testing.T, old *site, store *dynamostore.Store) *site {
	t.Helper()
	s := newSite(t, store)
	s.cookie = old.cookie
	return s
}

// A write whose condition does not hold says why at once, where the server can
// return the item with its refusal: moto can, as DynamoDB does. With dynalite it
// takes a look.
func TestCommandsOfRefusals(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		if l.gateway == nil {
			return // Amazon's own does not say
		}
		ctx := t.Context()
		returns := string(l.server.Kind) == "dynamodb-moto"
		if err := l.store.Create(ctx, "id", record(`{}`)); err != nil {
			t.Fatal(err)
		}
		stranger := l.open(t, l.client, dynamostore.Options{})
		for _, step := range []struct {
			name    string
			command string
			do      func() error
		}{
			{"Create over a live record", "PutItem", func() error { return l.store.Create(ctx, "id", record(`{}`)) }},
			{"Update of what has changed", "UpdateItem", func() error { return l.store.Update(ctx, "id", []byte(`[]`), []byte(`{}`), in(time.Hour)) }},
			{"Delete of what has changed", "DeleteItem", func() error { return l.store.Delete(ctx, "id", []byte(`[]`)) }},
			{"Touch that moves nothing", "UpdateItem", func() error { return l.store.Touch(ctx, "id", in(time.Minute)) }},
			{"Touch of an unknown id", "UpdateItem", func() error { return l.store.Touch(ctx, "unknown", in(time.Hour)) }},
			{"Load with a slide that does not move, by a process that has not seen the session", "UpdateItem", func() error {
				return second(stranger.Load(ctx, "id", session.Slide{To: in(time.Minute)}))
			}},
		} {
			want := counts(step.command, 1)
			if !returns {
				want["GetItem"] = 1
			}
			if got := l.gateway.count(func() { _ = step.do() }); !maps.Equal(got, want) {
				t.Errorf("%s: the server got %v; want %v", step.name, got, want)
			}
		}
	})
}
