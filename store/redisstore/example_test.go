package redisstore_test

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/rueidis"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/redisstore"
)

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

	store := redisstore.New(client, redisstore.Options{Prefix: "myapp:"})
	defer store.Close()
	if err := store.Ping(ctx); err != nil {
		fmt.Println(err)
		return
	}

	err = store.Create(ctx, "an-id", session.Record{
		Data:     []byte(`{"pills":3}`),
		Deadline: time.Now().Add(30 * time.Minute),
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	// This is all that an Express application with connect-redis needs.
	data, err := client.Do(ctx, client.B().Get().Key("myapp:an-id").Build()).ToString()
	fmt.Println(data, err)
	// Output: {"pills":3} <nil>
}

// Each process hears of the changes that any of them makes.
func ExampleStore_Watch() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	client, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress:  []string{servers.ForExample(servers.Redis7).Addrs[0]},
		DisableCache: true,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	store := redisstore.New(client, redisstore.Options{Prefix: "watched:", Watch: true})
	defer store.Close()

	heard := make(chan string, 16)
	go store.Watch(ctx, func(digest string) { heard <- digest })
	<-heard // the empty string: it listens

	err = store.Create(ctx, "an-id", session.Record{Data: []byte(`{}`), Deadline: time.Now().Add(time.Minute)})
	if err != nil {
		fmt.Println(err)
		return
	}
	for digest := range heard {
		if digest == session.Digest("an-id") {
			fmt.Println("an-id has changed")
			break
		}
	}
	// Output: an-id has changed
}
