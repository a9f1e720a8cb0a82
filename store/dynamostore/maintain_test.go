package dynamostore_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

// A batch of which DynamoDB leaves something undone is asked for again.
func TestUnprocessed(t *testing.T) {
	l := newLab(t, sharedDynalite(t))
	if l.gateway == nil {
		return // there is nothing between us and Amazon's own
	}
	if err := errors.Join(l.store.Create(t.Context(), "a", record(bob)), l.store.Create(t.Context(), "b", record(bob))); err != nil {
		t.Fatal(err)
	}
	postponed := 0
	l.gateway.refusing(func(command string) (int, string) {
		if command != "BatchWriteItem" || postponed == 2 {
			return 0, ""
		}
		postponed++
		return http.StatusOK, `{"UnprocessedItems":{"` + l.table + `":[{"DeleteRequest":{"Key":{"id":{"S":"sess:a"}}}},{"DeleteRequest":{"Key":{"id":{"S":"sess:b"}}}}]}}`
	})
	if err := l.store.Clear(t.Context()); err != nil {
		t.Errorf("Clear = %v", err)
	}
	if rows := l.all(t); len(rows) != 0 || postponed != 2 {
		t.Errorf("after Clear with two postponements, of which %d came: %d rows; want none", postponed, len(rows))
	}
}

// So is a batch that is read.
func TestUnprocessedKeys(t *testing.T) {
	l := newLab(t, sharedDynalite(t))
	if l.gateway == nil {
		return // there is nothing between us and Amazon's own
	}
	rec := record(bob)
	rec.Owner = session.Owner{User: "alice", AsOf: time.Now()}
	if err := errors.Join(l.store.Create(t.Context(), "a", rec), l.store.Create(t.Context(), "b", rec)); err != nil {
		t.Fatal(err)
	}
	postponed := 0
	l.gateway.refusing(func(command string) (int, string) {
		if command != "BatchGetItem" || postponed == 2 {
			return 0, ""
		}
		postponed++
		return http.StatusOK, `{"Responses":{},"UnprocessedKeys":{"` + l.table + `":{"Keys":[{"id":{"S":"sess:a"}},{"id":{"S":"sess:b"}}]}}}`
	})
	ids, err := l.store.UserIDs(t.Context(), "alice")
	if want := []string{"a", "b"}; err != nil || !slices.Equal(ids, want) || postponed != 2 {
		t.Errorf("UserIDs with two postponements, of which %d came = %q, %v; want %q", postponed, ids, err, want)
	}
}

// A server that puts everything off is given up on when the context ends.
func TestPutOffForEver(t *testing.T) {
	l := newLab(t, sharedDynalite(t))
	if l.gateway == nil {
		return // there is nothing between us and Amazon's own
	}
	if err := l.store.Create(t.Context(), "a", record(bob)); err != nil {
		t.Fatal(err)
	}
	l.gateway.refusing(func(command string) (int, string) {
		if command != "BatchWriteItem" {
			return 0, ""
		}
		return http.StatusOK, `{"UnprocessedItems":{"` + l.table + `":[{"DeleteRequest":{"Key":{"id":{"S":"sess:a"}}}}]}}`
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := l.store.Clear(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Clear = %v; want %v", err, context.DeadlineExceeded)
	}
}

func TestCursorOfNoList(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		for _, cursor := range []string{"x", "k", "sess:id"} {
			if _, _, err := l.store.List(t.Context(), cursor, 10); err == nil || !strings.Contains(err.Error(), "cursor") {
				t.Errorf("List(%q) = %v; want an error", cursor, err)
			}
		}
	})
}

func TestFormatShowsNothing(t *testing.T) {
	l := newLab(t, sharedDynalite(t))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(verb, l.store); got != "dynamostore.Store{…}" {
			t.Errorf("Sprintf(%q) = %s; want nothing of what is in it", verb, got)
		}
	}
}
