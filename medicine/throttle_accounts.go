package medicine

import (
	"context"
	"net/http"
	"time"

	"github.com/pillboxgo/pillbox/medicine/throttle"
)

// throttles bound how many passwords may be guessed, and accounts made.
//
// Locking an account after some failures would let anybody lock anybody out. So
// what is narrow is the bucket of an account and an address together: it slows a
// guesser and leaves the owner, who is elsewhere, alone. The bucket of an account
// is wide; it is for guesses from many addresses, and whoever empties it keeps
// out nobody who signs in from an address that the account was used from before.
// The right password counts in none of them, but every attempt costs a hash: spent
// keeps one address from having all of the processors.
//
// A key that is forgotten has its burst again. To have one forgotten takes a table
// full of others with a failure that has not been made up for yet. Each failure
// costs a hash and is made up for within half a minute, so that a server would
// have to compute hundreds of hashes a second.
//
// They are kept by each process for itself, so that n processes let n times as
// much through, and a process that has just begun knows no owner's address.
type throttles struct {
	pair     *throttle.Table // an account and an address
	account  *throttle.Table
	address  *throttle.Table
	register *throttle.Table // an address; every registration counts
	spent    *throttle.Table // an address; every attempt counts
	known    *throttle.Known // an account and an address that the right password came from
}

const throttleKeys = 20_000 // of at most a few hundred bytes, in each table

func newThrottles() throttles {
	return throttles{
		pair:     throttle.New(throttle.Limit{Burst: 5, Every: 30 * time.Second, Keys: throttleKeys}),
		account:  throttle.New(throttle.Limit{Burst: 100, Every: 30 * time.Second, Keys: throttleKeys}),
		address:  throttle.New(throttle.Limit{Burst: 30, Every: 10 * time.Second, Keys: throttleKeys}),
		register: throttle.New(throttle.Limit{Burst: 20, Every: time.Minute, Keys: throttleKeys}),
		spent:    throttle.New(throttle.Limit{Burst: 100, Every: time.Second / 2, Keys: throttleKeys}),
		known:    throttle.NewKnown(throttleKeys, 30*24*time.Hour),
	}
}

// pairKey names an account, by its folded name, and an address.
func pairKey(folded, address string) string { return address + " " + folded }

// beginSignIn begins an attempt to sign in, of which it is not known yet whether
// there is such an account. An empty folded name is no account for certain.
func (t *throttles) beginSignIn(ctx context.Context, folded, address string) (*throttle.Attempt, error) {
	spent, err := begin(ctx, "sign in", throttle.Count{Table: t.spent, Key: address})
	if err != nil {
		return nil, err
	}
	spent.Failed()
	counts := []throttle.Count{{Table: t.address, Key: address}}
	if folded != "" {
		pair := pairKey(folded, address)
		counts = append(counts, throttle.Count{Table: t.pair, Key: pair})
		if !t.known.Has(pair) {
			counts = append(counts, throttle.Count{Table: t.account, Key: folded})
		}
	}
	return begin(ctx, "sign in", counts...)
}

func (t *throttles) beginRegistration(ctx context.Context, address string) (*throttle.Attempt, error) {
	return begin(ctx, "register", throttle.Count{Table: t.register, Key: address})
}

func begin(ctx context.Context, what string, counts ...throttle.Count) (*throttle.Attempt, error) {
	ctx, cancel := context.WithTimeout(ctx, queueTime)
	defer cancel()
	attempt, wait, ok := throttle.Begin(ctx, counts...)
	if !ok {
		return nil, &problem{
			status: http.StatusTooManyRequests, retryAfter: wait, Code: "too_many_attempts",
			Message: "There were too many attempts to " + what + ". Wait a little and try again.",
		}
	}
	return attempt, nil
}
