package redisstore_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/redisstore"
)

// What a store has begun ends with it: goroutines here, connections and
// subscriptions at the server; also after calls that were given up.
func TestNothingIsLeftBehind(t *testing.T) {
	server := servers.Start(t, servers.Redis7)
	admin := connect(t, direct(server))
	count := func() (goroutines, clients int) {
		list, err := admin.Do(t.Context(), admin.B().ClientList().Build()).ToString()
		if err != nil {
			t.Fatal(err)
		}
		return runtime.NumGoroutine(), strings.Count(list, "id=")
	}
	count()
	goroutines, clients := count()

	client, err := rueidis.NewClient(direct(server))
	if err != nil {
		t.Fatal(err)
	}
	s := redisstore.New(client, redisstore.Options{Watch: true, PruneEvery: time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	for range 10 {
		heard := make(chan string, 1000)
		watching.Go(func() { s.Watch(ctx, func(digest string) { heard <- digest }) })
		<-heard
	}
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			brief, cancel := context.WithTimeout(ctx, time.Duration(i)*20*time.Microsecond)
			defer cancel()
			id := fmt.Sprint(i)
			_ = s.Create(brief, id, owned("{}", "alice"))
			_, _ = s.Load(brief, id, session.Slide{To: in(2 * time.Hour)})
			_, _, _ = s.List(brief, "", 3)
			_ = s.Delete(brief, id, nil)
		})
	}
	wg.Wait()
	cancel()
	watching.Wait()
	s.Close()
	until(t, "nobody is subscribed", func() bool {
		reply, err := admin.Do(t.Context(), admin.B().PubsubNumsub().Channel("pillbox:changes:sess:").Build()).AsIntMap()
		return err == nil && reply["pillbox:changes:sess:"] == 0
	})
	client.Close()
	var g, c int
	until(t, "the goroutines and connections have ended", func() bool {
		g, c = count()
		return g <= goroutines && c <= clients
	})
	t.Logf("%d goroutines and %d connections, as before: %d and %d", g, c, goroutines, clients)
}
