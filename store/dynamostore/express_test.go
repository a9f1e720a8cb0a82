package dynamostore_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/dynamostore"
)

// bob is a session as express-session 1.19 writes it.
const bob = `{"cookie":{"originalMaxAge":60000,"expires":"2026-11-23T03:52:27.118Z","httpOnly":true,"path":"/"},"user":"bob"}`

type row = map[string]types.AttributeValue

func str(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
func num(s string) types.AttributeValue { return &types.AttributeValueMemberN{Value: s} }

// put writes a row, as connect-dynamodb's set does.
func (l *lab) put(t testing.TB, r row) {
	t.Helper()
	if _, err := l.client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &l.table, Item: r}); err != nil {
		t.Fatal(err)
	}
}

// expressTouch is connect-dynamodb's touch, which brings a row into being.
func (l *lab) expressTouch(t testing.TB, key, expires string) {
	t.Helper()
	_, err := l.client.UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
		TableName:                 &l.table,
		Key:                       row{"id": str(key)},
		UpdateExpression:          aws.String("set expires = :e"),
		ExpressionAttributeValues: row{":e": num(expires)},
		ReturnValues:              types.ReturnValueUpdatedNew,
	})
	if err != nil {
		t.Fatal(err)
	}
}

// expressSeconds is connect-dynamodb's expires: whole seconds of now, and the
// lifetime with its fraction.
func expressSeconds(maxAge time.Duration) string {
	return strconv.FormatFloat(float64(time.Now().Unix())+float64(maxAge.Milliseconds())/1000, 'f', -1, 64)
}

// get reads a row. It is empty if there is none.
func (l *lab) get(t testing.TB, key string) row {
	t.Helper()
	out, err := l.client.GetItem(t.Context(), &dynamodb.GetItemInput{
		TableName: &l.table, Key: row{"id": str(key)}, ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.Item
}

// all returns every row of the table.
func (l *lab) all(t testing.TB) []row {
	t.Helper()
	out, err := l.client.Scan(context.WithoutCancel(t.Context()), &dynamodb.ScanInput{TableName: &l.table, ConsistentRead: aws.Bool(true)})
	if err != nil {
		t.Fatal(err)
	}
	return out.Items
}

// age makes every record expire in d, as if it had not been used for long.
func (l *lab) age(t testing.TB, d time.Duration) {
	t.Helper()
	for _, r := range l.all(t) {
		l.expressTouch(t, shown(r["id"]), expressSeconds(d))
	}
}

// shown writes an attribute for comparison.
func shown(v types.AttributeValue) string {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		return v.Value
	case *types.AttributeValueMemberN:
		return "N " + v.Value
	case nil:
		return "none"
	}
	return fmt.Sprintf("%T", v)
}

func TestRowsAreThoseOfConnectDynamoDB(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		for deadline, expires := range map[time.Time]string{
			time.UnixMilli(4102444800000): "N 4102444800",
			time.UnixMilli(4102444800999): "N 4102444800.999",
			time.UnixMilli(4102444800100): "N 4102444800.1",
			time.UnixMilli(4102444800001): "N 4102444800.001",
			time.Unix(4102444800, 1):      "N 4102444800.001", // rounded up
		} {
			id := fmt.Sprint(deadline.UnixNano())
			if err := l.store.Create(t.Context(), id, session.Record{Data: []byte(bob), Deadline: deadline}); err != nil {
				t.Fatal(err)
			}
			r := l.get(t, "sess:"+id)
			for name, want := range map[string]string{
				"id": "sess:" + id, "sess": bob, "type": "connect-session", "expires": expires,
			} {
				if got := shown(r[name]); got != want {
					t.Errorf("%s = %q; want %q", name, got, want)
				}
			}
			names := slices.Sorted(maps.Keys(r))
			if want := []string{"change", "expires", "id", "sess", "type"}; !slices.Equal(names, want) {
				t.Errorf("attributes %q; want %q", names, want)
			}
		}
	})
}

func TestRowsOfConnectDynamoDBAreRead(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		far := float64(time.Now().Unix() + 3600)
		for i, test := range []struct {
			expires string
			want    time.Time
		}{
			{fmt.Sprintf("%.0f", far), time.Unix(int64(far), 0)},
			{fmt.Sprintf("%.3f", far+0.999), time.UnixMilli(int64(far)*1000 + 999)},
			{fmt.Sprintf("%.1f", far+0.5), time.UnixMilli(int64(far)*1000 + 500)},
			{fmt.Sprintf("%.6f", far+0.000001), time.UnixMilli(int64(far)*1000 + 1)},
			{"99999999999999999999", time.UnixMilli(math.MaxInt64)},
		} {
			id := fmt.Sprint("id", i)
			l.put(t, row{"id": str("sess:" + id), "expires": num(test.expires), "type": str("connect-session"), "sess": str(bob)})
			rec, err := l.store.Load(t.Context(), id, session.Slide{})
			if err != nil || string(rec.Data) != bob || !rec.Deadline.Equal(test.want) {
				t.Errorf("Load of what expires at %s = %s, %v, %v; want the data until %v", test.expires, rec.Data, rec.Deadline, err, test.want)
			}
		}
		for i, expires := range []string{"0", "-1", "1", expressSeconds(-time.Millisecond)} {
			id := fmt.Sprint("dead", i)
			l.put(t, row{"id": str("sess:" + id), "expires": num(expires), "type": str("connect-session"), "sess": str(bob)})
			if _, err := l.store.Load(t.Context(), id, session.Slide{}); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("Load of what expired at %s = %v; want %v", expires, err, session.ErrNotFound)
			}
		}
	})
}

// What connect-dynamodb keeps beside a session stays as it is, and with it what
// anybody else may have added.
func TestSpecialKeysStay(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		l.put(t, row{
			"id": str("sess:id"), "expires": num(expressSeconds(time.Hour)), "type": str("connect-session"), "sess": str(bob),
			"user": str("bob"), "age": num("7"),
		})
		ctx := t.Context()
		err := errors.Join(
			second(l.store.Load(ctx, "id", session.Slide{To: in(2 * time.Hour)})),
			l.store.Touch(ctx, "id", in(3*time.Hour)),
			l.store.Update(ctx, "id", []byte(bob), []byte(`{}`), in(time.Hour)),
		)
		if err != nil {
			t.Fatal(err)
		}
		r := l.get(t, "sess:id")
		for name, want := range map[string]string{"user": "bob", "age": "N 7", "type": "connect-session", "sess": "{}"} {
			if got := shown(r[name]); got != want {
				t.Errorf("%s = %q; want %q", name, got, want)
			}
		}
	})
}

// connect-dynamodb's touch leaves a row without a session where the session has
// ended before it. That is nothing to anybody, and in nobody's way.
func TestStubOfATouchAfterTheEnd(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		ctx := t.Context()
		if err := l.store.Create(ctx, "id", record(bob)); err != nil {
			t.Fatal(err)
		}
		if err := l.store.Delete(ctx, "id", nil); err != nil {
			t.Fatal(err)
		}
		l.expressTouch(t, "sess:id", expressSeconds(time.Hour))
		for name, err := range map[string]error{
			"Load":              second(l.store.Load(ctx, "id", session.Slide{})),
			"Load with a slide": second(l.store.Load(ctx, "id", session.Slide{To: in(2 * time.Hour)})),
			"Touch":             l.store.Touch(ctx, "id", in(2*time.Hour)),
			"Update":            l.store.Update(ctx, "id", []byte(bob), []byte(bob), in(time.Hour)),
			"Update of nothing": l.store.Update(ctx, "id", nil, []byte(bob), in(time.Hour)),
			"Delete":            l.store.Delete(ctx, "id", []byte(bob)),
		} {
			if !errors.Is(err, session.ErrNotFound) {
				t.Errorf("%s of a remnant = %v; want %v", name, err, session.ErrNotFound)
			}
		}
		if ids, _, err := l.store.List(ctx, "", 10); err != nil || len(ids) > 0 {
			t.Errorf("List of a remnant = %q, %v; want none", ids, err)
		}
		if n, err := l.store.Count(ctx); err != nil || n != 0 {
			t.Errorf("Count of a remnant = %d, %v; want 0", n, err)
		}
		if err := l.store.Create(ctx, "id", record(`{}`)); err != nil {
			t.Errorf("Create over a remnant = %v", err)
		}
	})
}

// An Express application that moves a deadline, or writes blindly, is noticed.
func TestExpressWritesAreNoticed(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		ctx := t.Context()
		if err := l.store.Create(ctx, "id", record(bob)); err != nil {
			t.Fatal(err)
		}
		later := strconv.FormatInt(time.Now().Unix()+7200, 10) + ".25"
		l.expressTouch(t, "sess:id", later)
		rec, err := l.store.Load(ctx, "id", session.Slide{})
		if err != nil || strconv.FormatFloat(float64(rec.Deadline.UnixMilli())/1000, 'f', -1, 64) != later {
			t.Errorf("Load after Express's touch: deadline %v, %v; want %s", rec.Deadline, err, later)
		}
		l.put(t, row{"id": str("sess:id"), "expires": num(later), "type": str("connect-session"), "sess": str(`{"cookie":{},"user":"eve"}`)})
		if err := l.store.Update(ctx, "id", rec.Data, []byte(`{}`), in(time.Hour)); !errors.Is(err, session.ErrConflict) {
			t.Errorf("Update after Express's set = %v; want %v", err, session.ErrConflict)
		}
		if err := l.store.Delete(ctx, "id", rec.Data); !errors.Is(err, session.ErrConflict) {
			t.Errorf("Delete after Express's set = %v; want %v", err, session.ErrConflict)
		}
	})
}

// Several stores share a table, each with a prefix or a key of its own.
func TestPrefixes(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		ctx := t.Context()
		stores := map[string]*dynamostore.Store{
			"sess:": l.store,
			"app:":  l.open(t, l.client, dynamostore.Options{Prefix: "app:"}),
		}
		for prefix, s := range stores {
			rec := record(bob)
			rec.Owner = session.Owner{User: "alice", AsOf: time.Now()}
			if err := errors.Join(s.Create(ctx, "id", rec), s.Create(ctx, "other", record(`{}`))); err != nil {
				t.Fatal(err)
			}
			if got := shown(l.get(t, prefix+"id")["sess"]); got != bob {
				t.Errorf("%sid has %s; want the session", prefix, got)
			}
		}
		bare := l.open(t, l.client, dynamostore.Options{NoPrefix: true})
		if rec, err := bare.Load(ctx, "app:id", session.Slide{}); err != nil || string(rec.Data) != bob {
			t.Errorf("Load without a prefix = %s, %v; want the session", rec.Data, err)
		}
		if n, err := stores["app:"].RevokeUser(ctx, "alice", time.Now().Add(-time.Minute)); n != 1 || err != nil {
			t.Errorf("RevokeUser = %d, %v; want 1: the other store's user is another's", n, err)
		}
		if err := stores["app:"].Clear(ctx); err != nil {
			t.Fatal(err)
		}
		for prefix, want := range map[string]int{"sess:": 2, "app:": 0} {
			if n, err := stores[prefix].Count(ctx); n != want || err != nil {
				t.Errorf("Count of %s = %d, %v; want %d", prefix, n, err, want)
			}
		}
	})
}
