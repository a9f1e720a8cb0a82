package redisstore

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"strings"
)

// A script runs at the server in one atomic step. Each has one key only, so that
// a Cluster can run it.
type script struct {
	byName, byText []string // the words before the key
}

func newScript(text string) script {
	// SHA-1 is how Redis names a script; nothing depends on its strength.
	sum := sha1.Sum([]byte(text))
	return script{
		byName: []string{"EVALSHA", hex.EncodeToString(sum[:]), "1"},
		byText: []string{"EVAL", text, "1"},
	}
}

// run runs a script by its name, or by its text at a server that does not know
// it yet: after a restart, a failover, or at the first use.
func (s script) run(ctx context.Context, via func(context.Context, command) (reply, error), key string, again bool, args ...string) (reply, error) {
	r, err := via(ctx, command{words: s.byName, key: key, args: args, again: again})
	if strings.HasPrefix(text(err), "NOSCRIPT") {
		r, err = via(ctx, command{words: s.byText, key: key, args: args, again: again})
	}
	return r, err
}

// deadlineLua sets at to the deadline of the key in milliseconds: -1 if it has
// none. Redis 6.2 knows only how long is left, counted from a clock that goes on
// while the script runs; there the clock is read before and after.
const deadlineLua = `
local at = redis.pcall('PEXPIRETIME', key)
if type(at) ~= 'number' then
  local before, left, after
  local function clock()
    local t = redis.call('TIME')
    return t[1] * 1000 + math.floor(t[2] / 1000)
  end
  repeat
    before, left, after = clock(), redis.call('PTTL', key), clock()
  until before == after
  at = left
  if left >= 0 then at = before + left end
end
`

// publishLua tells who watches, if the arguments from n on are the channel and
// the digest. It comes before the write: where it is forbidden, nothing is
// changed, and nobody hears of it before the script has ended.
func publishLua(n int) string {
	return fmt.Sprintf("if ARGV[%[1]d] then redis.call('PUBLISH', ARGV[%[1]d], ARGV[%[2]d]) end\n", n, n+1)
}

// The channel and the digest are left out where nobody is to be told.
var (
	// ARGV: the slide's To and Before in milliseconds, each only if there is
	// one. Returns the data and the deadline, or nil. Before decides first: most
	// slides are not due, and reading a number takes longer than comparing it.
	loadScript = newScript(`
local key = KEYS[1]
local data = redis.call('GET', key)
if not data then return false end
` + deadlineLua + `
local to, before = ARGV[1], ARGV[2]
if to and at >= 0 and not (before and at >= tonumber(before)) then
  local later = tonumber(to)
  if later > at then
    redis.call('PEXPIREAT', key, to)
    at = later
  end
end
return {data, at}
`)

	// ARGV: data, deadline, channel, digest. Returns whether it was stored.
	createScript = newScript(`
local key = KEYS[1]
if redis.call('EXISTS', key) == 1 then return 0 end
` + publishLua(3) + `
redis.call('SET', key, ARGV[1], 'PXAT', ARGV[2])
return 1
`)

	// ARGV: old, data, deadline, channel, digest. Returns one of the outcomes.
	updateScript = newScript(`
local key = KEYS[1]
local data = redis.call('GET', key)
if not data then return 0 end
if data ~= ARGV[1] then return 1 end
` + publishLua(4) + `
redis.call('SET', key, ARGV[2], 'PXAT', ARGV[3])
return 2
`)

	// ARGV: deadline. Returns one of the outcomes.
	touchScript = newScript(`
local key = KEYS[1]
if redis.call('STRLEN', key) == 0 then return 0 end
` + deadlineLua + `
if at >= 0 and tonumber(ARGV[1]) > at then redis.call('PEXPIREAT', key, ARGV[1]) end
return 2
`)

	// ARGV: channel, digest. Returns how many keys it removed.
	removeScript = newScript(publishLua(1) + `
return redis.call('UNLINK', KEYS[1])
`)

	// ARGV: old, channel, digest. Returns one of the outcomes.
	removeIfScript = newScript(`
local key = KEYS[1]
local data = redis.call('GET', key)
if not data then return 0 end
if data ~= ARGV[1] then return 1 end
` + publishLua(2) + `
redis.call('UNLINK', key)
return 2
`)

	// ARGV: old and new text, either may be empty for none, and the moment in
	// milliseconds from which it may go, or empty. Returns whether it was old.
	rosterScript = newScript(`
if (redis.call('HGET', KEYS[1], 'roster') or '') ~= ARGV[1] then return 0 end
if ARGV[2] == '' then
  redis.call('UNLINK', KEYS[1])
  return 1
end
redis.call('HSET', KEYS[1], 'roster', ARGV[2])
if ARGV[3] == '' then
  redis.call('PERSIST', KEYS[1])
else
  redis.call('PEXPIREAT', KEYS[1], ARGV[3])
end
return 1
`)
)

// What the scripts for one record return.
const (
	isAbsent = iota
	isChanged
	isDone
)
