package mysqlstore

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// A table builds the statements. Whatever comes from a caller is written into
// them in hexadecimal digits, or as a number. So there is nothing to escape,
// whatever the connection's character set and sql_mode are, and each statement
// is one packet with any DSN: arguments would cost a packet more, or depend on
// interpolateParams.
type table struct {
	plain   string    // name as it was given
	columns [3]string // id, expires and data, as they were given

	name, revocations, id, expires, data string // quoted
}

// What is in force besides the columns that Express knows.
const (
	ownerColumn   = "owner"    // varbinary(255), null if nobody is signed in
	ownedAtColumn = "owned_at" // bigint, grows with each record of the owner
)

const (
	// started is the server's clock when it began with the statement.
	started = "UNIX_TIMESTAMP()"

	// reached is its clock at this very row: a statement may have waited
	// for the lock on it, and must not bring back what died meanwhile.
	reached = "(UNIX_TIMESTAMP() + TIMESTAMPDIFF(SECOND, NOW(), SYSDATE()))"
)

// What update tells through the insert id, which does not depend on
// clientFoundRows as the number of affected rows does. Nothing is told where no
// record was found, or where a trigger has fired.
const (
	updateConflict = 1
	updateDone     = 2
)

// characters returns s as a literal of its own characters. It is compared with a
// column by the column's collation, so that the index serves.
func characters(s string) string { return "_utf8mb4 X'" + hex.EncodeToString([]byte(s)) + "'" }

// bytesOf returns s as a literal of bytes.
func bytesOf(s string) string { return "X'" + hex.EncodeToString([]byte(s)) + "'" }

func number(n int64) string { return strconv.FormatInt(n, 10) }

// at selects the row under id, or one whose id differs in spaces at its end.
func (t table) at(id string) string { return t.id + " = " + characters(id) }

// exactly selects the row under id: the collations that end in _bin take no
// notice of spaces at the end.
func (t table) exactly(id string) string {
	return t.at(id) + " AND LENGTH(" + t.id + ") = " + strconv.Itoa(len(id))
}

// holds selects rows with this data, by its SHA-256, so that it need not travel.
func (t table) holds(data []byte) string {
	sum := sha256.Sum256(data)
	return "SHA2(" + t.data + ", 256) = '" + hex.EncodeToString(sum[:]) + "'"
}

// load reads one record: its data as bytes, which no connection translates into
// its own character set, and its deadline.
func (t table) load(id string) string {
	return "SELECT CAST(" + t.data + " AS BINARY), " + t.expires + " FROM " + t.name +
		" WHERE " + t.exactly(id) + " AND " + t.expires + " > " + started
}

func (t table) alive(where string) string {
	return "SELECT 1 FROM " + t.name + " WHERE " + where + " AND " + t.expires + " > " + started
}

// is reads of a live record whether it is like that.
func (t table) is(id, like string) string {
	return "SELECT " + like + " FROM " + t.name + " WHERE " + t.exactly(id) + " AND " + t.expires + " > " + started
}

// slide moves the deadline of a record that is due before the moment before to
// the moment to, which is no earlier, and tells it as the insert id.
func (t table) slide(id string, to, before int64, and string) string {
	return "UPDATE " + t.name + " SET " + t.expires + " = LAST_INSERT_ID(" + number(to) + ") WHERE " + t.exactly(id) +
		" AND " + t.expires + " < " + number(before) + " AND " + t.expires + " > " + reached + and
}

// touch moves the deadline of a record forward, and tells the one in force then
// as the insert id.
func (t table) touch(id string, to int64) string {
	return "UPDATE " + t.name + " SET " + t.expires + " = LAST_INSERT_ID(GREATEST(" + t.expires + ", " + number(to) + "))" +
		" WHERE " + t.exactly(id) + " AND " + t.expires + " > " + reached
}

func (t table) update(id string, old, data []byte, expires int64) string {
	var q strings.Builder
	q.Grow(2*len(data) + 1024)
	q.WriteString("UPDATE " + t.name + " SET " + t.data + " = X'")
	writeHex(&q, data)
	// A CASE is worked through in its order, which an AND need not be.
	fmt.Fprintf(&q, "', %s = %d WHERE %s AND CASE"+
		" WHEN LENGTH(%s) <> %d OR %s <= %s THEN FALSE"+
		" WHEN %s THEN LAST_INSERT_ID(%d)"+
		" ELSE LAST_INSERT_ID(%d) = 0 END",
		t.expires, expires, t.at(id),
		t.id, len(id), t.expires, reached,
		t.holds(old), updateDone, updateConflict)
	return q.String()
}

func (t table) remove(id string) string {
	return "DELETE FROM " + t.name + " WHERE " + t.exactly(id)
}

func (t table) removeIf(id string, old []byte) string {
	return t.remove(id) + " AND " + t.expires + " > " + reached + " AND " + t.holds(old)
}

func (t table) removeDead(where string) string {
	return "DELETE FROM " + t.name + " WHERE " + where + " AND " + t.expires + " <= " + started
}

// insert leaves the owner's columns out for a record that is nobody's, so that
// it works on a table that has none.
func (t table) insert(id string, data []byte, expires int64, user string, ownedAt int64) string {
	var q strings.Builder
	q.Grow(2*len(data) + 1024)
	q.WriteString("INSERT INTO " + t.name + " (" + t.id + ", " + t.expires + ", " + t.data)
	if user != "" {
		q.WriteString(", " + ownerColumn + ", " + ownedAtColumn)
	}
	q.WriteString(") VALUES (" + characters(id) + ", " + number(expires) + ", X'")
	writeHex(&q, data)
	q.WriteString("'")
	if user != "" {
		q.WriteString(", " + bytesOf(user) + ", " + number(ownedAt))
	}
	q.WriteString(")")
	return q.String()
}

func writeHex(q *strings.Builder, data []byte) { hex.NewEncoder(q).Write(data) }

// in selects the rows under ids, which are not none.
func (t table) in(ids []string) string {
	var q strings.Builder
	q.WriteString(t.id + " IN (")
	for i, id := range ids {
		if i > 0 {
			q.WriteString(", ")
		}
		q.WriteString(characters(id))
	}
	q.WriteString(")")
	return q.String()
}

func (t table) of(user string) string { return ownerColumn + " = " + bytesOf(user) }

// owned reads the user's live records, oldest first.
func (t table) owned(user string) string {
	return "SELECT CAST(" + t.id + " AS BINARY), " + ownedAtColumn + " FROM " + t.name + " WHERE " + t.of(user) +
		" AND " + t.expires + " > " + started + " ORDER BY " + ownedAtColumn + ", " + t.id
}

func (t table) removeOwned(user string, ids []string) string {
	return "DELETE FROM " + t.name + " WHERE " + t.in(ids) + " AND " + t.of(user) + " AND " + t.expires + " > " + reached
}

// lockUser makes sure that the user has a row among the revocations, and locks
// it until the transaction ends. A row without a moment is pruned at will.
func (t table) lockUser(user string) string {
	return "INSERT INTO " + t.revocations + " (user, revoked_at, kept_until) VALUES (" + bytesOf(user) + ", NULL, 0)" +
		" ON DUPLICATE KEY UPDATE kept_until = kept_until"
}

func (t table) revokedAt(user string) string {
	return "SELECT revoked_at FROM " + t.revocations + " WHERE user = " + bytesOf(user)
}

// revoke is lockUser, too.
func (t table) revoke(user string, at, kept int64) string {
	when, until := number(at), started+" + "+number(kept)
	return "INSERT INTO " + t.revocations + " (user, revoked_at, kept_until) VALUES (" + bytesOf(user) + ", " + when + ", " + until + ")" +
		" ON DUPLICATE KEY UPDATE revoked_at = GREATEST(COALESCE(revoked_at, " + when + "), " + when + ")," +
		" kept_until = GREATEST(kept_until, " + until + ")"
}

func (t table) list(after string, limit int) string {
	q := "SELECT CAST(" + t.id + " AS BINARY) FROM " + t.name + " WHERE " + t.expires + " > " + started
	if after != "" {
		q += " AND " + t.id + " > " + characters(after)
	}
	return q + " ORDER BY " + t.id + " LIMIT " + strconv.Itoa(limit)
}

func (t table) count() string {
	return "SELECT COUNT(*) FROM " + t.name + " WHERE " + t.expires + " > " + started
}

func (t table) dead(limit int) string {
	return "SELECT CAST(" + t.id + " AS BINARY) FROM " + t.name + " WHERE " + t.expires + " <= " + started +
		" LIMIT " + strconv.Itoa(limit)
}

func (t table) removeRevocations(limit int) string {
	return "DELETE FROM " + t.revocations + " WHERE kept_until <= " + started + " LIMIT " + strconv.Itoa(limit)
}
