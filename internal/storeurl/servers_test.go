package storeurl_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/internal/storeurl"
	"github.com/pillboxgo/pillbox/session"
)

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }

// remote returns the URL of a store of this test's own on a real server.
func remote(t testing.TB, kind servers.Kind) string {
	t.Helper()
	server := servers.Shared(t, kind)
	name := fmt.Sprintf("storeurl%d", rand.Uint32())
	switch kind {
	case servers.Postgres:
		return server.URL + "&table=" + name + "&migrate=true"
	case servers.MySQL, servers.MariaDB:
		return server.URL + "?table=" + name + "&migrate=true"
	case servers.MongoDB:
		return server.URL + "?collection=" + name + "&migrate=true"
	case servers.DynamoDB:
		return "dynamodb://key:secret@eu-north-1/" + name + "?migrate=true&endpoint=" + server.URL
	}
	return server.URL + "?prefix=" + name + ":"
}

var remoteKinds = []servers.Kind{
	servers.Redis7, servers.RedisCluster, servers.RedisSentinel,
	servers.Postgres, servers.MariaDB, servers.MySQL, servers.MongoDB, servers.DynamoDB,
}

// Each store opens by its URL, on the real server, makes there what it needs,
// and keeps a session until another process asks for it.
func TestOpenOnServers(t *testing.T) {
	for _, kind := range remoteKinds {
		t.Run(string(kind), func(t *testing.T) {
			url := remote(t, kind)
			rec := session.Record{Data: []byte(`{"cookie":{}}`), Deadline: time.UnixMilli(time.Now().Add(time.Hour).UnixMilli())}
			rec.Owner = session.Owner{User: "ada", AsOf: time.Now()}
			opened, err := storeurl.Open(t.Context(), url, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			if err := opened.Store.Create(t.Context(), "id", rec); err != nil {
				t.Error(err)
			}
			if err := opened.Close(); err != nil {
				t.Error(err)
			}
			opened, err = storeurl.Open(t.Context(), strings.Replace(url, "migrate=true", "migrate=false", 1), slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			defer opened.Close()
			if got, err := opened.Store.Load(t.Context(), "id", session.Slide{}); err != nil || string(got.Data) != string(rec.Data) {
				t.Errorf("Load = %s, %v; want %s", got.Data, err, rec.Data)
			}
			index, ok := opened.Store.(session.UserIndex)
			if !ok {
				t.Fatalf("%s has lost its index by user", opened.Name)
			}
			if ids, err := index.UserIDs(t.Context(), "ada"); err != nil || len(ids) != 1 || ids[0] != "id" {
				t.Errorf("UserIDs = %q, %v; want the one", ids, err)
			}
		})
	}
}

// Without migrate=true nothing is made on the server, and the error says what is
// missing and what to do.
func TestOpenMakesNothingUnlessAsked(t *testing.T) {
	for _, kind := range []servers.Kind{servers.Postgres, servers.MariaDB, servers.DynamoDB} {
		t.Run(string(kind), func(t *testing.T) {
			url := strings.Replace(remote(t, kind), "migrate=true", "migrate=false", 1)
			opened, err := storeurl.Open(t.Context(), url, slog.New(slog.DiscardHandler))
			if err == nil {
				opened.Close()
				t.Fatal("Open succeeds without a table")
			}
			for _, want := range []string{"storeurl", "migrate=true"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("Open = %v; want an error that names the table and %s", err, want)
				}
			}
		})
	}
}

// A server that is not there is an error within seconds, which names it.
func TestOpenNamesTheServerThatDoesNotAnswer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := listener.Addr().String()
	listener.Close()
	for _, url := range []string{
		"redis://u:hunter2@" + nobody,
		"redis+cluster://u:hunter2@" + nobody,
		"redis+sentinel://u:hunter2@" + nobody + "/main",
		"postgres://u:hunter2@" + nobody + "/db",
		"mysql://u:hunter2@" + nobody + "/db",
		"mongodb://u:hunter2@" + nobody + "/db?serverSelectionTimeoutMS=500",
		"dynamodb://u:hunter2@eu-north-1/sessions?endpoint=http://" + nobody,
	} {
		scheme, _, _ := strings.Cut(url, ":")
		t.Run(scheme, func(t *testing.T) {
			var log bytes.Buffer
			begin := time.Now()
			opened, err := storeurl.Open(t.Context(), url, slog.New(slog.NewTextHandler(&log, nil)))
			if err == nil {
				opened.Close()
				t.Fatal("Open succeeds without a server")
			}
			if took := time.Since(begin); took > 11*time.Second {
				t.Errorf("Open took %v; want at most ten seconds and a bit", took)
			}
			if !strings.Contains(err.Error(), nobody) {
				t.Errorf("Open = %v; want an error that names %s", err, nobody)
			}
			if strings.Contains(err.Error()+log.String(), "hunter2") {
				t.Errorf("Open = %v\n%s\nwant no password", err, &log)
			}
		})
	}
}

// MySQL takes an option that nobody knows for one of its variables.
func TestOpenNamesTheOptionThatMySQLDoesNotKnow(t *testing.T) {
	opened, err := storeurl.Open(t.Context(), remote(t, servers.MariaDB)+"&tabel=x", slog.New(slog.DiscardHandler))
	if err == nil {
		opened.Close()
		t.Fatal("Open succeeds with an unknown option")
	}
	if !strings.Contains(err.Error(), `"tabel"`) || !strings.Contains(err.Error(), "table") {
		t.Errorf("Open = %v; want one that names the option and those there are", err)
	}
}

// Whoever gives the wrong password learns that, and reads it nowhere.
func TestOpenWithAWrongPassword(t *testing.T) {
	for _, kind := range []servers.Kind{servers.Redis7, servers.MariaDB} {
		t.Run(string(kind), func(t *testing.T) {
			url := remote(t, kind)
			url = url[:strings.Index(url, "://")+3] + "root:hunter2@" + strings.TrimPrefix(url[strings.Index(url, "://")+3:], "root@")
			opened, err := storeurl.Open(t.Context(), url, slog.New(slog.DiscardHandler))
			if err == nil {
				opened.Close()
				t.Fatal("Open succeeds with a wrong password")
			}
			if strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "password") {
				t.Errorf("Open = %v; want one that speaks of the password without quoting it", err)
			}
		})
	}
}
