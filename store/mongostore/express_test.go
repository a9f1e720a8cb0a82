package mongostore_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/mongostore"
)

// expressSet does what connect-mongo's set does.
func expressSet(t *testing.T, db *mongo.Database, id string, value any, expires time.Time) {
	t.Helper()
	_, err := db.Collection("sessions").UpdateOne(t.Context(),
		bson.D{{Key: "_id", Value: id}},
		bson.D{{Key: "$set", Value: bson.D{
			{Key: "_id", Value: id},
			{Key: "session", Value: value},
			{Key: "expires", Value: expires},
			{Key: "lastModified", Value: expires},
		}}},
		options.UpdateOne().SetUpsert(true))
	if err != nil {
		t.Fatal(err)
	}
}

// expressGet does what connect-mongo's get does, and returns the document, or
// nil where it finds none.
func expressGet(t *testing.T, db *mongo.Database, id string) bson.Raw {
	t.Helper()
	doc, err := db.Collection("sessions").FindOne(t.Context(), bson.D{
		{Key: "_id", Value: id},
		{Key: "$or", Value: bson.A{
			bson.D{{Key: "expires", Value: bson.D{{Key: "$exists", Value: false}}}},
			bson.D{{Key: "expires", Value: bson.D{{Key: "$gt", Value: time.Now()}}}},
		}},
	}).Raw()
	if err != nil && !errors.Is(err, mongo.ErrNoDocuments) {
		t.Fatal(err)
	}
	return doc
}

const isoTime = "2026-11-23T16:36:27.202Z"

// expressCookie is what connect-mongo stores of a cookie with stringify: false.
func expressCookie(expires any) bson.D {
	return bson.D{
		{Key: "originalMaxAge", Value: int32(60000)},
		{Key: "partitioned", Value: nil},
		{Key: "priority", Value: nil},
		{Key: "expires", Value: expires},
		{Key: "secure", Value: true},
		{Key: "httpOnly", Value: true},
		{Key: "domain", Value: nil},
		{Key: "path", Value: "/"},
		{Key: "sameSite", Value: nil},
	}
}

func date(t *testing.T, text string) bson.DateTime {
	t.Helper()
	when, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return bson.NewDateTimeFromTime(when)
}

// The documents are those of connect-mongo, to the field.
func TestExpressReadsWhatIsCreated(t *testing.T) {
	const data = `{"cookie":{"originalMaxAge":60000,"expires":"` + isoTime + `","secure":true,"httpOnly":true,"path":"/"},` +
		`"views":1,"f":1.5,"mid":3000000000,"n":null,"list":[1,"a",{"b":false}]}`
	expires := in(hour)
	for _, test := range []struct {
		mongostore.Options
		want any
	}{
		{forms[0].Options, data},
		{forms[1].Options, bson.D{
			{Key: "cookie", Value: bson.D{
				{Key: "originalMaxAge", Value: int32(60000)},
				{Key: "expires", Value: date(t, isoTime)},
				{Key: "secure", Value: true},
				{Key: "httpOnly", Value: true},
				{Key: "path", Value: "/"},
			}},
			{Key: "views", Value: int32(1)},
			{Key: "f", Value: 1.5},
			{Key: "mid", Value: 3e9},
			{Key: "n", Value: nil},
			{Key: "list", Value: bson.A{int32(1), "a", bson.D{{Key: "b", Value: false}}}},
		}},
	} {
		db := database(t)
		s := open(t, db, test.Options)
		if err := s.Create(t.Context(), "id", session.Record{Data: []byte(data), Deadline: expires}); err != nil {
			t.Fatal(err)
		}
		want, err := bson.Marshal(bson.D{{Key: "_id", Value: "id"}, {Key: "session", Value: test.want}, {Key: "expires", Value: expires}})
		if err != nil {
			t.Fatal(err)
		}
		if got := expressGet(t, db, "id"); !bytes.Equal(got, want) {
			t.Errorf("Object: %t: the document is\n%v; want\n%v", test.Object, got, bson.Raw(want))
		}
	}
}

// Either side changes what the other has stored, and both see it.
func TestExpressAndPillboxTakeTurns(t *testing.T) {
	for _, form := range forms {
		t.Run(form.name, func(t *testing.T) {
			t.Parallel()
			db := database(t)
			s := open(t, db, form.Options)
			express := func(views int) {
				var value any = fmt.Sprintf(`{"cookie":{"originalMaxAge":null,"expires":null},"views":%d}`, views)
				if form.Object {
					value = bson.D{{Key: "cookie", Value: expressCookie(date(t, isoTime))}, {Key: "views", Value: views}}
				}
				expressSet(t, db, "id", value, in(hour))
			}
			express(1)
			for views := 2; views < 10; views += 2 {
				rec, err := s.Load(t.Context(), "id", session.Slide{To: in(2 * hour)})
				if err != nil {
					t.Fatal(err)
				}
				was, is := fmt.Sprintf(`"views":%d}`, views-1), fmt.Sprintf(` "views":%d}`, views) // a space that only text keeps
				data := strings.Replace(string(rec.Data), was, is, 1)
				if data == string(rec.Data) {
					t.Fatalf("Load = %s; want %s in it", rec.Data, was)
				}
				if err := s.Update(t.Context(), "id", rec.Data, []byte(data), in(hour)); err != nil {
					t.Fatalf("Update of Express's session: %v", err)
				}
				holds(t, s, "id", data)
				doc := expressGet(t, db, "id")
				if form.Object {
					if n := doc.Lookup("session", "views").Int32(); int(n) != views {
						t.Errorf("Express sees views: %d; want %d", n, views)
					}
					if got, want := doc.Lookup("session", "cookie", "expires"), date(t, isoTime); got.Type != bson.TypeDateTime || got.DateTime() != int64(want) {
						t.Errorf("Express sees cookie.expires: %v; want the Date %v", got, want)
					}
				} else if got := doc.Lookup("session").StringValue(); got != data {
					t.Errorf("Express sees %s; want %s", got, data)
				}
				if doc.Lookup("lastModified").Type != bson.TypeDateTime {
					t.Error("lastModified, which is connect-mongo's, is gone")
				}
				express(views + 1)
				if err := s.Update(t.Context(), "id", []byte(data), []byte(`{}`), in(hour)); !errors.Is(err, session.ErrConflict) {
					t.Errorf("Update after Express has changed the session = %v; want %v", err, session.ErrConflict)
				}
			}
			// connect-mongo's touch, and its destroy.
			if _, err := db.Collection("sessions").UpdateByID(t.Context(), "id", bson.D{{Key: "$set", Value: bson.D{{Key: "expires", Value: in(5 * hour)}}}}); err != nil {
				t.Fatal(err)
			}
			if rec, err := s.Load(t.Context(), "id", session.Slide{To: in(hour)}); err != nil || rec.Deadline.Before(in(4*hour)) {
				t.Errorf("after Express's touch: Load until %v, %v; want its deadline", rec.Deadline, err)
			}
			if err := s.Delete(t.Context(), "id", nil); err != nil {
				t.Fatal(err)
			}
			if doc := expressGet(t, db, "id"); doc != nil {
				t.Error("Express finds a session that was deleted")
			}
		})
	}
}

// What Express's objects hold beyond JSON reads as JSON.stringify has it, and
// keeps its type until somebody changes it.
func TestExpressTypesAreKept(t *testing.T) {
	id, err := bson.ObjectIDFromHex("0123456789abcdef01234567")
	if err != nil {
		t.Fatal(err)
	}
	decimal, err := bson.ParseDecimal128("1.50")
	if err != nil {
		t.Fatal(err)
	}
	uuid := bson.Binary{Subtype: bson.TypeBinaryUUID, Data: []byte("0123456789abcdef")}
	value := bson.D{
		{Key: "cookie", Value: expressCookie(date(t, isoTime))},
		{Key: "when", Value: date(t, isoTime)},
		{Key: "list", Value: bson.A{date(t, isoTime), bson.D{{Key: "at", Value: date(t, "1969-12-31T23:59:59.995Z")}}}},
		{Key: "id", Value: id},
		{Key: "long", Value: int64(9007199254740993)},
		{Key: "short", Value: int64(5)},
		{Key: "bytes", Value: []byte("hi")},
		{Key: "uuid", Value: uuid},
		{Key: "decimal", Value: decimal},
		{Key: "regex", Value: bson.Regex{Pattern: `a"b`, Options: "i"}},
		{Key: "stamp", Value: bson.Timestamp{T: 1, I: 2}},
		{Key: "zero", Value: negativeZero()},
		{Key: "views", Value: 1.0},
	}
	const want = `{"cookie":{"originalMaxAge":60000,"partitioned":null,"priority":null,"expires":"` + isoTime + `",` +
		`"secure":true,"httpOnly":true,"domain":null,"path":"/","sameSite":null},` +
		`"when":"` + isoTime + `","list":["` + isoTime + `",{"at":"1969-12-31T23:59:59.995Z"}],` +
		`"id":"0123456789abcdef01234567","long":9007199254740993,"short":5,"bytes":"aGk=",` +
		`"uuid":"30313233-3435-3637-3839-616263646566","decimal":{"$numberDecimal":"1.50"},` +
		`"regex":{"$regularExpression":{"pattern":"a\"b","options":"i"}},"stamp":{"$timestamp":{"t":1,"i":2}},` +
		`"zero":0,"views":1}`
	db := database(t)
	s := open(t, db, forms[1].Options)
	expressSet(t, db, "id", value, in(hour))
	holds(t, s, "id", want)
	next := strings.Replace(want, `"views":1}`, `"views":2,"more":"`+isoTime+`"}`, 1)
	if err := s.Update(t.Context(), "id", []byte(want), []byte(next), in(hour)); err != nil {
		t.Fatalf("Update of Express's session: %v", err)
	}
	holds(t, s, "id", next)
	value[len(value)-1].Value = int32(2)
	value = append(value, bson.E{Key: "more", Value: isoTime}) // what was new was text, and stays it
	kept, err := bson.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	if got := raw(t, db, "id").Lookup("session"); !bytes.Equal(got.Value, kept) {
		t.Errorf("after Update the session is\n%v; want\n%v", got, bson.Raw(kept))
	}
	if err := s.Delete(t.Context(), "id", []byte(next)); err != nil {
		t.Errorf("Delete of what was read = %v; want nil", err)
	}
}

func negativeZero() float64 {
	zero := 0.0
	return -zero
}

// The text beside a subdocument counts only for the one it was stored with.
func TestTextOfAnEarlierSubdocumentIsNotReturned(t *testing.T) {
	db := database(t)
	s := open(t, db, forms[1].Options)
	const odd = `{"cookie":{}, "n":9007199254740993}`
	create(t, s, "id", odd)
	if raw(t, db, "id").Lookup("pillbox", "text").StringValue() != odd {
		t.Fatal("the text is not kept beside the subdocument")
	}
	expressSet(t, db, "id", bson.D{{Key: "cookie", Value: bson.D{}}, {Key: "n", Value: int32(2)}}, in(hour))
	holds(t, s, "id", `{"cookie":{},"n":2}`)
	for _, step := range []struct {
		old, data string
		want      error
	}{
		{odd, `{"n":0}`, session.ErrConflict},
		{`{"cookie":{},"n":2}`, `{"cookie":{},"n":3}`, nil},
		{`{"cookie":{},"n":2}`, `{"n":0}`, session.ErrConflict},
		{`{"cookie":{},"n":3}`, odd, nil},
		{`{"cookie":{},"n":9007199254740992}`, `{"n":0}`, session.ErrConflict},
	} {
		if err := s.Update(t.Context(), "id", []byte(step.old), []byte(step.data), in(hour)); !errors.Is(err, step.want) {
			t.Errorf("Update from %s to %s = %v; want %v", step.old, step.data, err, step.want)
		}
	}
	holds(t, s, "id", odd)
	// Express reads and saves without a change of its own.
	expressSet(t, db, "id", raw(t, db, "id").Lookup("session"), in(hour))
	holds(t, s, "id", odd)
	if err := s.Update(t.Context(), "id", []byte(odd), []byte(`{"cookie":{}}`), in(hour)); err != nil {
		t.Fatal(err)
	}
	if doc := raw(t, db, "id"); doc.Lookup("pillbox").Type != 0 {
		t.Errorf("the field pillbox stays behind: %v", doc)
	}
}

// The index is the one that connect-mongo makes, whoever comes first.
func TestMigrateAgreesWithExpress(t *testing.T) {
	express := mongo.IndexModel{Keys: bson.D{{Key: "expires", Value: 1}}, Options: options.Index().SetExpireAfterSeconds(0)}
	db := database(t)
	s := open(t, db, mongostore.Options{PruneEvery: -1})
	for _, pillboxFirst := range []bool{false, true} {
		if pillboxFirst {
			if err := db.Collection("sessions").Drop(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 4 {
			if (i%2 == 0) == pillboxFirst {
				if err := s.Migrate(t.Context()); err != nil {
					t.Errorf("Migrate = %v; want nil", err)
				}
			} else if _, err := db.Collection("sessions").Indexes().CreateOne(t.Context(), express); err != nil {
				t.Errorf("connect-mongo's createIndex: %v", err)
			}
		}
	}
	other := mongo.IndexModel{Keys: bson.D{{Key: "expires", Value: 1}}, Options: options.Index().SetExpireAfterSeconds(60)}
	if err := db.Collection("sessions").Drop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Collection("sessions").Indexes().CreateOne(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	if err := s.Migrate(t.Context()); err == nil || !strings.Contains(err.Error(), "drop it") {
		t.Errorf("Migrate beside an index with other options = %v; want an error with the remedy", err)
	}
}

// What the server removes by the index is gone, and what lives stays.
func TestServerRemovesTheDead(t *testing.T) {
	db := connect(t, servers.Start(t, servers.MongoDB).URL).Database("removal") // its clean-up runs every two seconds
	s := open(t, db, mongostore.Options{PruneEvery: -1})
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		err := s.Create(t.Context(), fmt.Sprint("dies", i), session.Record{Data: []byte(`{}`), Deadline: in(time.Second)})
		if err != nil {
			t.Fatal(err)
		}
		create(t, s, fmt.Sprint("lives", i), `{}`)
	}
	for left := int64(10); left > 5; {
		if err := t.Context().Err(); err != nil {
			t.Fatal(err)
		}
		var err error
		if left, err = db.Collection("sessions").CountDocuments(t.Context(), bson.D{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if n, err := s.Count(t.Context()); n != 5 || err != nil {
		t.Errorf("Count = %d, %v; want the 5 that live", n, err)
	}
}
