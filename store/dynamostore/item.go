package dynamostore

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/pillboxgo/pillbox/session"
)

// The attributes of an item beside its key. The first three are those of
// connect-dynamodb.
const (
	attrSess    = "sess"    // S: the record's data
	attrExpires = "expires" // N: its deadline, in seconds since 1970
	attrType    = "type"    // S: typeRecord or typeRoster
	attrChange  = "change"  // S: names the last Create or Update
	attrDoc     = "doc"     // S: a user's roster
)

const (
	typeRecord = "connect-session"
	typeRoster = "pillbox-user"
)

// MaxBytes is the most data that a record holds. An item of DynamoDB has up to
// 400 KB, which is 409,600 bytes and counts the names and values of all its
// attributes. The rest is for the key, the other attributes, and what
// connect-dynamodb's specialKeys repeat of the data.
const MaxBytes = 400_000

// An item is a row of the table. Nil is one that is not there.
type item map[string]types.AttributeValue

// record returns the live record that an item is. The error is
// [session.ErrNotFound], or [session.ErrDamaged] where the item cannot be one.
func (it item) record(now int64) (session.Record, error) {
	sess, there := it[attrSess]
	if !there {
		// Not there at all, or what connect-dynamodb's touch leaves behind
		// when the session has ended before it: a deadline without a session.
		return session.Record{}, session.ErrNotFound
	}
	deadline, ok := it.deadline()
	if ok && deadline <= now {
		return session.Record{}, session.ErrNotFound
	}
	data, isText := sess.(*types.AttributeValueMemberS)
	if !ok || !isText || data.Value == "" {
		return session.Record{}, session.ErrDamaged
	}
	return session.Record{Data: []byte(data.Value), Deadline: time.UnixMilli(deadline)}, nil
}

// deadline returns when the item expires, in milliseconds.
func (it item) deadline() (int64, bool) {
	n, ok := it[attrExpires].(*types.AttributeValueMemberN)
	if !ok {
		return 0, false
	}
	ms, err := parseSeconds(n.Value)
	return ms, err == nil
}

// is reports whether an attribute is this text.
func (it item) is(attribute, text string) bool {
	s, ok := it[attribute].(*types.AttributeValueMemberS)
	return ok && s.Value == text
}

// formatSeconds returns milliseconds as DynamoDB's Time to Live and
// connect-dynamodb have a time: in seconds since 1970, here with a fraction.
func formatSeconds(ms int64) string {
	text := strconv.FormatInt(ms/1000, 10)
	if fraction := ms % 1000; fraction > 0 {
		text += strings.TrimRight(fmt.Sprintf(".%03d", fraction), "0")
	}
	return text
}

var thousand = big.NewRat(1000, 1)

// parseSeconds is the inverse of formatSeconds. It takes all that DynamoDB
// takes for a number, and rounds up to whole milliseconds.
func parseSeconds(text string) (ms int64, err error) {
	seconds, ok := new(big.Rat).SetString(text)
	if !ok {
		return 0, errors.New("not a number")
	}
	r := seconds.Mul(seconds, thousand)
	// The quotient of Euclid's division is rounded down, so negate twice.
	down := new(big.Int).Div(new(big.Int).Neg(r.Num()), r.Denom())
	up := down.Neg(down)
	switch {
	case up.IsInt64():
		return up.Int64(), nil
	case up.Sign() > 0:
		return math.MaxInt64, nil
	}
	return math.MinInt64, nil
}

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func seconds(ms int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: formatSeconds(ms)}
}
