package redisstore

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"strings"
)

// A script runs at the server in one atomic step. Each has one key only, so that
// a Cluster can run it.
type script struct {
	text string
	sum  string
}

func newScript(text string) script {
	// SHA-1 is how Redis names a script; nothing depends on its strength.
	sum := sha1.Sum([]byte(text))
	return script{text: text, sum: hex.EncodeToString(sum[:])}
}

// run runs a script by its name, or by its text at a server that does not know
// it yet: after a restart, a failover, or at the first use.
func (s script) run(ctx context.Context, via func(context.Context, command) (reply, error), key string, again bool, args ...string) (reply, error) {
	r, err := via(ctx, command{words: []string{"EVALSHA", s.sum, "1"}, key: key, args: args, again: again})
	if strings.HasPrefix(text(err), "NOSCRIPT") {
		r, err = via(ctx, command{words: []string{"EVAL", s.text, "1"}, key: key, args: args, again: again})
	}
	return r, err
}

// deadlineLua finds the deadline of a key in milliseconds: -1 for one that has
// none. Redis 6.2 knows only how long is left, counted from a clock that goes on
// while the script runs; there the clock is read before and after.
const deadlineLua = `
local function deadline(key)
  local at = redis.pcall('PEXPIRETIME', key)
  if type(at) == 'number' then return at end
  local before, left, after
  local function clock()
    local t = redis.call('TIME')
    return t[1] * 1000 + math.floor(t[2] / 1000)
  end
  repeat
    before, left, after = clock(), redis.call('PTTL', key), clock()
  until before == after
  if left < 0 then return left end
  return before + left
end
`

// publishLua tells who watches. It comes before the write: where it is forbidden,
// nothing is changed, and nobody hears of it before the script has ended.
const publishLua = `
local function publish(channel, digest)
  if channel ~= '' then redis.call('PUBLISH', channel, digest) end
end
`

var (
	// ARGV: the slide's To and Before in milliseconds, either may be empty.
	// Returns the data and the deadline, or nil.
	loadScript = newScript(deadlineLua + `
local data = redis.call('GET', KEYS[1])
if not data then return false end
local at = deadline(KEYS[1])
local to, before = tonumber(ARGV[1]), tonumber(ARGV[2])
if to and at >= 0 and to > at and (not before or at < before) then
  redis.call('PEXPIREAT', KEYS[1], ARGV[1])
  at = to
end
return {data, at}
`)

	// ARGV: data, deadline, channel, digest. Returns whether it was stored.
	createScript = newScript(publishLua + `
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
publish(ARGV[3], ARGV[4])
redis.call('SET', KEYS[1], ARGV[1], 'PXAT', ARGV[2])
return 1
`)

	// ARGV: old, data, deadline, channel, digest. Returns one of the outcomes.
	updateScript = newScript(publishLua + `
local data = redis.call('GET', KEYS[1])
if not data then return 0 end
if data ~= ARGV[1] then return 1 end
publish(ARGV[4], ARGV[5])
redis.call('SET', KEYS[1], ARGV[2], 'PXAT', ARGV[3])
return 2
`)

	// ARGV: deadline. Returns one of the outcomes.
	touchScript = newScript(deadlineLua + `
if redis.call('STRLEN', KEYS[1]) == 0 then return 0 end
local at = deadline(KEYS[1])
if at >= 0 and tonumber(ARGV[1]) > at then redis.call('PEXPIREAT', KEYS[1], ARGV[1]) end
return 2
`)

	// ARGV: channel, digest. Returns how many keys it removed.
	removeScript = newScript(publishLua + `
publish(ARGV[1], ARGV[2])
return redis.call('UNLINK', KEYS[1])
`)

	// ARGV: old, channel, digest. Returns one of the outcomes.
	removeIfScript = newScript(publishLua + `
local data = redis.call('GET', KEYS[1])
if not data then return 0 end
if data ~= ARGV[1] then return 1 end
publish(ARGV[2], ARGV[3])
redis.call('UNLINK', KEYS[1])
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
