package nearcache_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/rueidis"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/nearcache"
	"github.com/pillboxgo/pillbox/store/redisstore"
)

// Two processes read a session from their own memory. When one of them has ended it,
// the other one does not serve it any more.
func ExampleNew() {
	ctx := context.Background()
	client, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress:  []string{servers.ForExample(servers.Redis7).Addrs[0]},
		DisableCache: true,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()

	open := func() (nearcache.Store, error) { // in each process
		return nearcache.New(redisstore.New(client, redisstore.Options{Prefix: "near:"}), nearcache.Options{})
	}
	here, err := open()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer here.Close()
	there, err := open()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer there.Close()

	err = here.Create(ctx, "an-id", session.Record{Data: []byte(`{"pills":3}`), Deadline: time.Now().Add(time.Hour)})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 1000 { // asks Redis once in 100 milliseconds
		_, err = there.Load(ctx, "an-id", session.Slide{})
	}
	fmt.Println(err)

	fmt.Println(here.Delete(ctx, "an-id", nil)) // takes 100 milliseconds
	_, err = there.Load(ctx, "an-id", session.Slide{})
	fmt.Println(errors.Is(err, session.ErrNotFound))
	// Output:
	// <nil>
	// <nil>
	// true
}
