package mongostore

import (
	"crypto/sha256"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/internal/contract"
)

// A session's document. The first three fields are connect-mongo's; what else
// it writes, such as lastModified, is left alone.
//
//	{_id: "…", session: '{"cookie":…}', expires: Date}
//
//	{_id: "…", session: {cookie: {…}, …}, expires: Date,
//	 pillbox: {text: '{"cookie":…}', of: SHA-256}}
//
// The field pillbox is there only where the subdocument cannot give back the
// text that was stored. It counts only while "of" is the hash of what the
// subdocument says: Express replaces the subdocument and leaves pillbox behind.
const (
	fieldID      = "_id"
	fieldSession = "session"
	fieldExpires = "expires"
	fieldPillbox = "pillbox"
	fieldText    = "text"
	fieldOf      = "of"
)

// endless is the deadline of a document without one, which connect-mongo takes
// for a session that does not end.
var endless = time.UnixMilli(253402300799999) // 9999-12-31T23:59:59.999Z

// alive and dead are conditions for a filter; a document meets one of them. They
// are connect-mongo's: an "expires" that is no date makes a session dead.
func alive(now time.Time) bson.E { return bson.E{Key: "$or", Value: lives(now)} }
func dead(now time.Time) bson.E  { return bson.E{Key: "$nor", Value: lives(now)} }

func lives(now time.Time) bson.A {
	return bson.A{
		bson.D{after(now)},
		bson.D{{Key: fieldExpires, Value: bson.D{{Key: "$exists", Value: false}}}},
	}
}

// after is the condition that a document has a deadline, and that it is to come.
func after(now time.Time) bson.E {
	return bson.E{Key: fieldExpires, Value: bson.D{{Key: "$gt", Value: clock(now)}}}
}

// ended is the condition by which an index finds dead documents. It leaves out
// those that are dead for want of a date.
func ended(now time.Time) bson.E {
	return bson.E{Key: fieldExpires, Value: bson.D{{Key: "$lte", Value: clock(now)}}}
}

// date returns a deadline as MongoDB keeps it, rounded up.
func date(t time.Time) bson.DateTime { return bson.DateTime(contract.Millis(t)) }

// clock returns the present as deadlines are compared with it: a whole
// millisecond is after now if and only if it is after this.
func clock(now time.Time) bson.DateTime { return bson.DateTime(now.UnixMilli()) }

// deadline returns a document's deadline, and false if that makes it dead.
func deadline(doc bson.Raw, now time.Time) (time.Time, bool) {
	value, err := doc.LookupErr(fieldExpires)
	if err != nil {
		return endless, true
	}
	ms, ok := value.DateTimeOK()
	t := time.UnixMilli(ms)
	return t, ok && t.After(now)
}

// text returns the session's data that a document holds.
func text(doc bson.Raw) ([]byte, error) {
	value := doc.Lookup(fieldSession)
	switch value.Type {
	case bson.TypeString:
		s, ok := value.StringValueOK()
		if !ok || s == "" {
			return nil, fmt.Errorf("%w: the text is empty", session.ErrDamaged)
		}
		return []byte(s), readable(s)
	case bson.TypeEmbeddedDocument:
		plain, err := appendJSON(nil, value)
		if err != nil {
			return nil, fmt.Errorf("%w: the subdocument is not BSON", session.ErrDamaged)
		}
		kept, of := doc.Lookup(fieldPillbox, fieldText), doc.Lookup(fieldPillbox, fieldOf)
		if s, ok := kept.StringValueOK(); ok && of.Equal(hash(plain)) {
			return []byte(s), nil
		}
		return plain, nil
	case 0:
		return nil, fmt.Errorf("%w: there is no field %q", session.ErrDamaged, fieldSession)
	}
	return nil, fmt.Errorf("%w: the field %q is of type %v", session.ErrDamaged, fieldSession, value.Type)
}

// hash returns the field "of" for a subdocument that says plain.
func hash(plain []byte) bson.RawValue {
	sum := sha256.Sum256(plain)
	value := appendInt32(make([]byte, 0, 5+len(sum)), len(sum))
	value = append(append(value, bson.TypeBinaryGeneric), sum[:]...)
	return bson.RawValue{Type: bson.TypeBinary, Value: value}
}

// stored is what a session's data becomes in a document.
type stored struct {
	session bson.RawValue
	text    []byte        // of the field pillbox; nil where the session is text, or says it
	of      bson.RawValue // of the session; zero where it is text
}

// encode returns what to store for data. Kept is the subdocument that it is to
// replace, where that is known: what both agree on keeps its type.
func (s *Store) encode(data []byte, kept bson.RawValue) stored {
	if s.object {
		if session, ok := object(data, kept); ok {
			plain, err := appendJSON(nil, session)
			if err == nil && len(session.Value)+len(data) <= maxSubdocument {
				st := stored{session: session, of: hash(plain)}
				if string(plain) != string(data) {
					st.text = data
				}
				return st
			}
		}
	}
	return stored{session: stringValue(data)}
}

// fields returns the fields of a new document, but for the id.
func (st stored) fields(deadline time.Time) bson.D {
	d := bson.D{{Key: fieldSession, Value: st.session}, {Key: fieldExpires, Value: date(deadline)}}
	if st.text != nil {
		d = append(d, bson.E{Key: fieldPillbox, Value: st.pillbox()})
	}
	return d
}

func (st stored) pillbox() bson.D {
	return bson.D{{Key: fieldText, Value: stringValue(st.text)}, {Key: fieldOf, Value: st.of}}
}

// update returns what makes an existing document hold st.
func (st stored) update(deadline time.Time) bson.D {
	update := bson.D{{Key: "$set", Value: st.fields(deadline)}}
	if st.text == nil && st.of.Type != 0 {
		update = append(update, bson.E{Key: "$unset", Value: bson.D{{Key: fieldPillbox, Value: ""}}})
	}
	return update
}

// holds is the condition that a document holds what st was made of, and only
// that. A document that holds it in another way does not meet it.
func (st stored) holds() bson.D {
	filter := bson.D{{Key: fieldSession, Value: bson.D{{Key: "$eq", Value: st.session}}}}
	switch {
	case st.text != nil:
		return append(filter, bson.E{Key: fieldPillbox + "." + fieldText, Value: stringValue(st.text)})
	case st.of.Type != 0:
		// The text is what the subdocument says. Then so is the session's,
		// unless another text that says the same is kept for it.
		return append(filter, bson.E{Key: fieldPillbox + "." + fieldOf, Value: bson.D{{Key: "$ne", Value: st.of}}})
	}
	return filter
}

// same is the condition that a document holds exactly what doc does.
func same(doc bson.Raw) bson.D {
	filter := bson.D{{Key: fieldSession, Value: bson.D{{Key: "$eq", Value: doc.Lookup(fieldSession)}}}}
	pillbox := bson.D{{Key: "$exists", Value: false}}
	if value, err := doc.LookupErr(fieldPillbox); err == nil {
		pillbox = bson.D{{Key: "$eq", Value: value}}
	}
	return append(filter, bson.E{Key: fieldPillbox, Value: pillbox})
}
