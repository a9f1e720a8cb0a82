package mongostore

import "go.mongodb.org/mongo-driver/v2/bson"

// ObjectOf returns the subdocument for a text, beside one that it replaces.
func ObjectOf(text []byte, kept bson.Raw) (bson.Raw, bool) {
	var before bson.RawValue
	if kept != nil {
		before = bson.RawValue{Type: bson.TypeEmbeddedDocument, Value: kept}
	}
	value, ok := object(text, before)
	return bson.Raw(value.Value), ok
}

// JSONOf returns what a subdocument reads as.
func JSONOf(doc bson.Raw) ([]byte, error) {
	return appendJSON(nil, bson.RawValue{Type: bson.TypeEmbeddedDocument, Value: doc})
}

// TextOf returns the data of a document.
func TextOf(doc bson.Raw) ([]byte, error) { return text(doc) }

// CheckCollation is the part of Ping that looks at one collection.
func CheckCollation(info bson.Raw) error { return checkCollation(info) }
