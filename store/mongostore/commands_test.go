package mongostore_test

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
)

// What each method and each request costs, as the server counts its commands.
func TestCommands(t *testing.T) {
	server := servers.Start(t, servers.MongoDB) // nobody else's commands
	client := connect(t, server.URL)
	for i, form := range forms {
		t.Run(form.name, func(t *testing.T) {
			db := client.Database(fmt.Sprint("commands", i))
			s := open(t, db, form.Options)
			ctx := t.Context()
			one, two := []byte(`{"cookie":{},"n":1}`), []byte(`{"cookie":{},"n":2.0}`)
			rec := session.Record{Data: one, Deadline: in(hour)}
			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			v := newSite(t, s)
			for _, step := range []struct {
				name string
				do   func()
				want map[string]int64
			}{
				{"Create", func() { must(s.Create(ctx, "id", rec)) }, counts("insert", 1)},
				{"Load", func() { must(second(s.Load(ctx, "id", session.Slide{}))) }, counts("find", 1)},
				{"Load with a slide that moves", func() { must(second(s.Load(ctx, "id", session.Slide{To: in(2 * hour)}))) }, counts("findAndModify", 1)},
				{"Load with a slide that does not", func() {
					must(second(s.Load(ctx, "id", session.Slide{To: in(3 * hour), Before: in(hour)})))
				}, counts("findAndModify", 1)},
				{"Update", func() { must(s.Update(ctx, "id", one, two, in(hour))) }, counts("update", 1)},
				{"Update of odd data", func() { must(s.Update(ctx, "id", two, one, in(hour))) }, counts("update", 1)},
				{"Touch", func() { must(s.Touch(ctx, "id", in(4*hour))) }, counts("update", 1)},
				{"Delete", func() { must(s.Delete(ctx, "id", nil)) }, counts("delete", 1)},
				{"a request that does not use its session", func() { v.visit("OPTIONS") }, counts()},
				{"a first visit that changes", func() { v.visit("POST") }, counts("insert", 1)},
				{"a request that reads", func() { v.visit("GET") }, counts("findAndModify", 1)},
				{"a request that changes", func() { v.visit("POST") }, counts("findAndModify", 1, "update", 1)},
			} {
				before := commands(t, client)
				step.do()
				got := commands(t, client)
				maps.DeleteFunc(got, func(name string, n int64) bool {
					got[name] = n - before[name]
					return got[name] == 0
				})
				if !maps.Equal(got, step.want) {
					t.Errorf("%s: the server counts %v; want %v", step.name, got, step.want)
				}
			}
		})
	}
}

func second[T any](_ T, err error) error { return err }

func counts(pairs ...any) map[string]int64 {
	m := make(map[string]int64)
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i].(string)] = int64(pairs[i+1].(int))
	}
	return m
}

// commands returns how many commands of each name the server has carried out,
// but for those by which drivers and this function watch it.
func commands(t *testing.T, client *mongo.Client) map[string]int64 {
	t.Helper()
	status, err := client.Database("admin").RunCommand(t.Context(), bson.D{{Key: "serverStatus", Value: 1}}).Raw()
	if err != nil {
		t.Fatal(err)
	}
	all, err := status.Lookup("metrics", "commands").Document().Elements()
	if err != nil {
		t.Fatal(err)
	}
	m := make(map[string]int64)
	for _, e := range all {
		switch e.Key() {
		case "serverStatus", "hello", "isMaster", "ismaster", "ping", "endSessions":
			continue
		}
		if n, ok := e.Value().Document().Lookup("total").AsInt64OK(); ok {
			m[e.Key()] = n
		}
	}
	return m
}

// A change that Express's types take more commands for is one change all the
// same, and the next takes one.
func TestCommandsAfterExpressStoredADate(t *testing.T) {
	var sent []string
	monitor := &event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) {
		sent = append(sent, e.CommandName)
	}}
	own := database(t)
	db := connect(t, servers.Shared(t, servers.MongoDB).URL, options.Client().SetMonitor(monitor)).Database(own.Name())
	s := open(t, db, forms[1].Options)
	when := bson.DateTime(time.Now().UnixMilli())
	insert(t, own, "id",
		bson.E{Key: "session", Value: bson.D{{Key: "cookie", Value: bson.D{}}, {Key: "when", Value: when}}},
		bson.E{Key: "expires", Value: in(hour)})
	rec, err := s.Load(t.Context(), "id", session.Slide{})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ data, want string }{
		{`{"cookie":{},"n":1}`, "[update find update]"},
		{`{"cookie":{},"n":2}`, "[update]"},
	} {
		sent = nil
		if err := s.Update(t.Context(), "id", rec.Data, []byte(step.data), in(hour)); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(sent); got != step.want {
			t.Errorf("Update to %s sent %s; want %s", step.data, got, step.want)
		}
		rec.Data = []byte(step.data)
	}
}
