package servers

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/pillboxgo/pillbox/internal/need"
)

// documentDBConfig loads the extension and lets its scheduled work reach the
// server, which is not on the port it would guess.
const documentDBConfig = `
shared_preload_libraries = 'pg_cron, pg_documentdb_core, pg_documentdb'
cron.database_name = 'postgres'
cron.host = '127.0.0.1'
cron.log_run = off
documentdb.localhost_connection_string = 'host=127.0.0.1'
`

// documentDBSetup makes the extension, and has it remove expired documents
// every two seconds instead of every minute: tests wait for that.
var documentDBSetup = []string{
	"SET client_min_messages = warning",
	"CREATE EXTENSION documentdb CASCADE",
	"SELECT cron.alter_job(jobid, schedule := '2 seconds') FROM cron.job WHERE jobname = 'documentdb_ttl_task'",
}

func startMongoDB(t testing.TB, s *Server) error {
	t.Helper()
	postgres := unpacked(t, MongoDB, "forky", "usr/lib/postgresql/18/bin/postgres")
	ferretdb := need.Program(t, "pillbox-ferretdb")
	ctx := t.Context()

	back, err := postgresNode(filepath.Join(s.dir, "postgres"), filepath.Dir(postgres), documentDBConfig)
	if err != nil {
		return err
	}
	s.behind = append(s.behind, back)
	if err := back.start(ctx); err != nil {
		return err
	}
	err = withPostgres(ctx, postgresURL(back), func(conn *pgx.Conn) error {
		for _, statement := range documentDBSetup {
			if _, err := conn.Exec(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}

	n, err := s.add("ferretdb")
	if err != nil {
		return err
	}
	s.URL = "mongodb://" + n.addr() + "/test"
	n.argv = []string{ferretdb, "-listen", n.addr(), "-postgres", postgresURL(back), "-state", n.dir}
	n.ready = func(ctx context.Context) error {
		client, err := mongo.Connect(options.Client().ApplyURI(s.URL))
		if err != nil {
			return err
		}
		defer func() { _ = client.Disconnect(ctx) }() // it was asked for a ping only
		return client.Ping(ctx, nil)
	}
	return n.start(ctx)
}
