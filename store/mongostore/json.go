package mongostore

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"math"
	"strconv"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

var errNotBSON = errors.New("not BSON")

// appendJSON appends what JSON.stringify makes of a value that Express has
// stored: a Date becomes its ISO 8601 text with milliseconds, an ObjectId its
// hexadecimal digits, bytes their base64, a UUID its usual form. An int64 becomes
// its digits, since JSON has room for them; what is of any other type, such as
// Decimal128, its MongoDB Extended JSON.
func appendJSON(out []byte, value bson.RawValue) ([]byte, error) {
	ok := true
	switch value.Type {
	case bson.TypeEmbeddedDocument:
		return appendMembers(out, bson.Raw(value.Value), '{', '}')
	case bson.TypeArray:
		return appendMembers(out, bson.Raw(value.Value), '[', ']')
	case bson.TypeString:
		var s string
		s, ok = value.StringValueOK()
		out = appendQuoted(out, s)
	case bson.TypeBoolean:
		var b bool
		b, ok = value.BooleanOK()
		out = strconv.AppendBool(out, b)
	case bson.TypeNull, bson.TypeUndefined:
		out = append(out, "null"...)
	case bson.TypeInt32:
		var i int32
		i, ok = value.Int32OK()
		out = strconv.AppendInt(out, int64(i), 10)
	case bson.TypeInt64:
		var i int64
		i, ok = value.Int64OK()
		out = strconv.AppendInt(out, i, 10)
	case bson.TypeDouble:
		var f float64
		f, ok = value.DoubleOK()
		out = appendNumber(out, f)
	case bson.TypeDateTime:
		var ms int64
		ms, ok = value.DateTimeOK()
		out = appendDate(out, ms)
	case bson.TypeObjectID:
		var id bson.ObjectID
		id, ok = value.ObjectIDOK()
		out = appendQuoted(out, id.Hex())
	case bson.TypeBinary:
		var kind byte
		var data []byte
		kind, data, ok = value.BinaryOK()
		out = appendBinary(out, kind, data)
	default:
		text, err := bson.MarshalExtJSON(bson.D{{Key: "v", Value: value}}, false, false)
		if err != nil {
			return nil, errNotBSON
		}
		out = append(out, text[len(`{"v":`):len(text)-len(`}`)]...)
	}
	if !ok {
		return nil, errNotBSON
	}
	return out, nil
}

func appendMembers(out []byte, doc bson.Raw, open, end byte) ([]byte, error) {
	elements, err := doc.Elements()
	if err != nil {
		return nil, errNotBSON
	}
	out = append(out, open)
	for i, e := range elements {
		if i > 0 {
			out = append(out, ',')
		}
		if open == '{' {
			out = append(appendQuoted(out, e.Key()), ':')
		}
		if out, err = appendJSON(out, e.Value()); err != nil {
			return nil, err
		}
	}
	return append(out, end), nil
}

// appendQuoted quotes as JSON.stringify does: no escapes but the needed ones.
func appendQuoted(out []byte, s string) []byte {
	const digits = "0123456789abcdef"
	out = append(out, '"')
	begin := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		out = append(out, s[begin:i]...)
		begin = i + 1
		switch c {
		case '"', '\\':
			out = append(out, '\\', c)
		case '\b':
			out = append(out, `\b`...)
		case '\t':
			out = append(out, `\t`...)
		case '\n':
			out = append(out, `\n`...)
		case '\f':
			out = append(out, `\f`...)
		case '\r':
			out = append(out, `\r`...)
		default:
			out = append(out, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
	}
	return append(append(out, s[begin:]...), '"')
}

// appendNumber writes a number as ECMAScript's Number::toString does, §6.1.6.1.20.
func appendNumber(out []byte, f float64) []byte {
	abs := math.Abs(f)
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return append(out, "null"...)
	case f == 0:
		return append(out, '0') // without the sign
	case abs >= 1e-6 && abs < 1e21:
		return strconv.AppendFloat(out, f, 'f', -1, 64)
	}
	out = strconv.AppendFloat(out, f, 'e', -1, 64)
	if n := len(out); out[n-2] == '0' { // of an exponent of two digits, as in e-07
		out[n-2] = out[n-1]
		out = out[:n-1]
	}
	return out
}

// appendDate writes a date as Date.prototype.toJSON does.
func appendDate(out []byte, ms int64) []byte {
	const most = 8.64e15 // the largest time value, ECMAScript §21.4.1.1
	if ms < -most || ms > most {
		return append(out, "null"...)
	}
	t := time.UnixMilli(ms).UTC()
	year := t.Year()
	if year >= 0 && year <= 9999 {
		return append(t.AppendFormat(append(out, '"'), isoLayout), '"')
	}
	sign := byte('+')
	if year < 0 {
		sign, year = '-', -year
	}
	out = append(out, '"', sign)
	for unit := 100000; unit > 0; unit /= 10 {
		out = append(out, '0'+byte(year/unit%10))
	}
	return append(t.AppendFormat(out, isoLayout[len("2006"):]), '"')
}

func appendBinary(out []byte, kind byte, data []byte) []byte {
	out = append(out, '"')
	if kind == bson.TypeBinaryUUID && len(data) == 16 {
		for i, n := range []int{4, 2, 2, 2, 6} {
			if i > 0 {
				out = append(out, '-')
			}
			out = hex.AppendEncode(out, data[:n])
			data = data[n:]
		}
	} else {
		out = base64.StdEncoding.AppendEncode(out, data)
	}
	return append(out, '"')
}
