package pgstore

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strings"

	"github.com/pillboxgo/pillbox/store/internal/sqltable"
)

// statements are the texts that the store sends. Each argument is cast, so that
// they mean the same whether they are prepared or not.
type statements struct {
	load, move, slide string

	// The same for several records at once.
	loadAll, moveAll, slideAll string

	update, touch      string
	remove, removeIf   string
	create, admit      string
	owned, revoke      string
	list, count, clear string
	prune, pruneInTurn string
	forget             string // revocations that are no longer needed
	samples            string // what Express may have written
	channel            string // of LISTEN
	lock               func(user string) int64
	turn               int64 // the lock of who prunes
}

const (
	// durable makes the transaction that it is part of survive a crash once
	// it is acknowledged, lasting no longer than that transaction. Settings
	// that also wait for standbys are left alone.
	durable = "CASE WHEN current_setting('synchronous_commit') = 'off' THEN set_config('synchronous_commit', 'on', true) END"

	// hasty lets the transaction be acknowledged before it is on the disk.
	hasty = "set_config('synchronous_commit', 'off', true)"

	// micros is a deadline in microseconds, or NULL beyond any that a store
	// was given. The cast to timestamptz takes the connection's TimeZone, as
	// every comparison with to_timestamp does.
	micros = "CASE WHEN expire < '10000-01-01' THEN (extract(epoch FROM expire::timestamptz) * 1000000)::bigint END"
)

// compose returns the statements for a table in this schema.
//
// Where a statement both changes a record and says why it has not, its halves
// see the database as it was when it began, but the change waits for other
// changes under way and looks again at what they leave. If that keeps it from
// being made, the half that tells cannot know why. It then says 'raced', and the
// statement is sent again.
func (s *Store) compose(schema string, owners bool) statements {
	q := statements{channel: channel(schema, s.table)}
	notify := ""
	everything := ""
	if s.watch {
		name := "'" + strings.ReplaceAll(q.channel, "'", "''") + "'"
		notify = ", pg_notify(" + name + ", encode(sha256(convert_to(sid, 'UTF8')), 'hex'))"
		everything = ", pg_notify(" + name + ", '')"
	}
	disown := ""
	if owners {
		disown = ", owner = NULL, owned_at = NULL"
	}
	text := strings.NewReplacer(
		"{table}", sqltable.Quote('"', schema, s.table),
		"{revocations}", sqltable.Quote('"', schema, s.revocations()),
		"{durable}", durable, "{hasty}", hasty, "{micros}", micros,
		"{notify}", notify, "{everything}", everything, "{disown}", disown,
		// The moment that the application passes as the present.
		"{live}", "expire > to_timestamp($2::float8)",
	).Replace

	q.load = text(`SELECT sess, {micros}, false FROM {table} WHERE sid = $1::text AND {live}`)
	// The third column is what the others have there: whether to ask again.
	q.move = text(`UPDATE {table} SET expire = to_timestamp($3::float8)
WHERE sid = $1::text AND {live} AND expire < to_timestamp($3::float8)
RETURNING sess, {micros}, {hasty} IS NULL`)
	q.slide = text(`WITH moved AS (
	UPDATE {table} SET expire = to_timestamp($3::float8)
	WHERE sid = $1::text AND {live} AND expire < to_timestamp($4::float8)
	RETURNING sess, expire, {hasty}
)
SELECT sess, {micros}, false FROM moved
UNION ALL
SELECT sess, {micros}, expire < to_timestamp($4::float8) FROM {table}
WHERE sid = $1::text AND {live} AND NOT EXISTS (SELECT FROM moved)`)

	// Each of the arrays has an element for each record. As subqueries they
	// have no length that the server could plan for: it makes one plan, and
	// keeps it. What is locked is passed over, and found again by its place in
	// the table, where it stays while it is locked.
	const asked = `WITH asked AS MATERIALIZED (
	SELECT * FROM unnest((SELECT $1::text[]), (SELECT $3::float8[]), (SELECT $4::float8[]))
		WITH ORDINALITY AS asked (id, until, before, n)
)`
	const locked = asked + `, locked AS (
	SELECT t.ctid, t.sid, asked.until, asked.n
	FROM asked JOIN {table} AS t ON t.sid = asked.id
	WHERE {live} AND expire < to_timestamp(asked.before)
	FOR NO KEY UPDATE OF t SKIP LOCKED
)`
	const done = `
UPDATE {table} AS t SET expire = to_timestamp(locked.until)
FROM locked WHERE t.ctid = locked.ctid AND t.sid = locked.sid
RETURNING t.sess, `
	const read = `
SELECT t.sess, {micros}, expire < to_timestamp(asked.before), asked.n
FROM asked JOIN {table} AS t ON t.sid = asked.id
WHERE {live}`
	q.loadAll = text(asked + read)
	q.moveAll = text(locked + done + `{micros}, (SELECT {hasty}) IS NULL, locked.n`)
	q.slideAll = text(locked + `, moved AS (` + done + `t.expire, locked.n, (SELECT {hasty})
)
SELECT sess, {micros}, false, n FROM moved
UNION ALL` + read + ` AND asked.n NOT IN (SELECT n FROM moved)`)

	q.touch = text(`WITH moved AS (
	UPDATE {table} SET expire = to_timestamp($3::float8)
	WHERE sid = $1::text AND {live} AND expire < to_timestamp($3::float8)
	RETURNING {hasty}
)
SELECT EXISTS (SELECT FROM moved) OR EXISTS (SELECT FROM {table} WHERE sid = $1::text AND {live})`)

	// The answer of a compare-and-swap is NULL if there is no live record.
	const compared = `
)
SELECT CASE WHEN EXISTS (SELECT FROM done) THEN 'done' ELSE (
	SELECT CASE WHEN sess::text = $3::text THEN 'raced' ELSE 'conflict' END
	FROM {table} WHERE sid = $1::text AND {live}
) END`
	q.update = text(`WITH done AS (
	UPDATE {table} SET sess = $4::json, expire = to_timestamp($5::float8)
	WHERE sid = $1::text AND {live} AND sess::text = $3::text
	RETURNING {durable}{notify}` + compared)
	q.removeIf = text(`WITH done AS (
	DELETE FROM {table} WHERE sid = $1::text AND {live} AND sess::text = $3::text
	RETURNING {durable}{notify}` + compared)
	q.remove = text(`DELETE FROM {table} WHERE sid = $1::text RETURNING {durable}{notify}`)

	q.create = text(`INSERT INTO {table} AS r (sid, sess, expire)
VALUES ($1::text, $3::json, to_timestamp($4::float8))
ON CONFLICT (sid) DO UPDATE SET sess = EXCLUDED.sess, expire = EXCLUDED.expire{disown}
WHERE (r.{live}) IS NOT TRUE
RETURNING {durable}{notify}`)

	// What is sent while the user's lock is held, so that nobody else has
	// changed what it looks at. Arguments: 5 the user, 6 as of, 7 the bound,
	// 8 whether to reject, 9 the id that is replaced, 10 the time.
	q.admit = text(`WITH others AS (
	SELECT sid, row_number() OVER (ORDER BY owned_at DESC) AS age FROM {table}
	WHERE owner = $5::bytea AND {live} AND sid <> $1::text AND sid <> $9::text
), verdict AS (
	SELECT CASE
		WHEN EXISTS (SELECT FROM {revocations} WHERE owner = $5::bytea AND at >= $6::bigint) THEN 'revoked'
		WHEN EXISTS (SELECT FROM {table} WHERE sid = $1::text AND {live}) THEN 'exists'
		WHEN $8::bool AND (SELECT count(*) FROM others) >= $7::bigint THEN 'too many'
		ELSE 'done' END AS says
), done AS (
	INSERT INTO {table} AS r (sid, sess, expire, owner, owned_at)
	SELECT $1::text, $3::json, to_timestamp($4::float8), $5::bytea,
		greatest($10::bigint, (SELECT max(owned_at) + 1 FROM {table} WHERE owner = $5::bytea))
	FROM verdict WHERE says = 'done'
	ON CONFLICT (sid) DO UPDATE
	SET sess = EXCLUDED.sess, expire = EXCLUDED.expire, owner = EXCLUDED.owner, owned_at = EXCLUDED.owned_at
	WHERE (r.{live}) IS NOT TRUE
	RETURNING {durable}{notify}
), ended AS (
	DELETE FROM {table}
	WHERE sid IN (SELECT sid FROM others WHERE age >= $7::bigint AND $7::bigint > 0) AND EXISTS (SELECT FROM done)
	RETURNING {durable}{notify}
)
SELECT CASE WHEN says = 'done' AND NOT EXISTS (SELECT FROM done) THEN 'exists' ELSE says END FROM verdict`)

	q.owned = text(`SELECT sid FROM {table} WHERE owner = $1::bytea AND {live} ORDER BY owned_at`)
	q.revoke = text(`WITH noted AS (
	INSERT INTO {revocations} AS r (owner, at, kept_until) VALUES ($1::bytea, $3::bigint, $4::bigint)
	ON CONFLICT (owner) DO UPDATE SET
		at = greatest(r.at, EXCLUDED.at), kept_until = greatest(r.kept_until, EXCLUDED.kept_until)
	RETURNING {durable}
), ended AS (
	DELETE FROM {table} WHERE owner = $1::bytea AND NOT sid = ANY ($5::text[])
	RETURNING {live} AS live{notify}
)
SELECT count(*) FROM ended WHERE live`)

	q.list = text(`SELECT sid FROM {table} WHERE sid > $1::text AND {live} ORDER BY sid LIMIT $3::bigint`)
	q.count = text(`SELECT count(*) FROM {table} WHERE expire > to_timestamp($1::float8)`)
	q.clear = text(`WITH ended AS (DELETE FROM {table} RETURNING 1)
SELECT count(*), {durable}{everything} FROM ended`)

	// A ctid is a place in one partition, and names a row in each of them.
	const prune = `DELETE FROM {table} WHERE expire <= to_timestamp($1::float8) AND ctid = ANY (ARRAY (
	SELECT ctid FROM {table} WHERE expire <= to_timestamp($1::float8){turn} LIMIT $2::bigint FOR UPDATE SKIP LOCKED))`
	q.prune = text(strings.ReplaceAll(prune, "{turn}", ""))
	q.pruneInTurn = text(strings.ReplaceAll(prune, "{turn}", " AND (SELECT pg_try_advisory_xact_lock($3::bigint))"))
	q.forget = text(`DELETE FROM {revocations} WHERE kept_until <= $1::bigint`)
	q.samples = text(`SELECT coalesce(left(sess::text, 500), ''), {micros} FROM {table} LIMIT 64`)

	q.lock = func(user string) int64 { return key("user", schema, s.table, user) }
	q.turn = key("prune", schema, s.table)
	return q
}

// key returns the number of an advisory lock. Applications have locks of their
// own in the same database: 64 bits of a hash keep clear of them.
func key(parts ...string) int64 {
	sum := sha256.Sum256([]byte("pillbox\x00" + strings.Join(parts, "\x00")))
	return int64(binary.BigEndian.Uint64(sum[:]))
}

// channel returns the name under which changes of a table are told.
func channel(schema, table string) string {
	name := "pillbox:" + schema + "." + table
	if len(name) > maxName {
		sum := sha256.Sum256([]byte(name))
		name = "pillbox:" + hex.EncodeToString(sum[:16])
	}
	return name
}
