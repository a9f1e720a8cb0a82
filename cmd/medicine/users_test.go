package main

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const account = `{"username":"ilmer","password":"correct horse battery"}`

func (v *visitor) wantStatus(want int, method, url, body string) {
	v.t.Helper()
	if status, answer := v.do(method, url, body); status != want {
		v.t.Errorf("%s %s = %d %s; want %d", method, url, status, answer, want)
	}
}

// Accounts last as long as the sessions that name them.
func TestRestartKeepsAccounts(t *testing.T) {
	dir := t.TempDir()
	v := &visitor{t: t}
	i := start(t, dir, nil)
	v.wantStatus(201, "POST", i.url+"/register", account)
	if err := i.stop(); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "medicine.db-*")); len(left) > 0 {
		t.Errorf("run left %q: the accounts are not closed", left)
	}
	i = start(t, dir, nil)
	v.wantStatus(200, "GET", i.url+"/me", "")
	other := &visitor{t: t}
	other.wantStatus(409, "POST", i.url+"/register", account)
	other.wantStatus(200, "POST", i.url+"/login", account)
}

func TestUsersFlag(t *testing.T) {
	for _, test := range []struct {
		name  string
		env   map[string]string
		users string // the flag; {dir} stands for the folder
		lasts bool
		file  string // beside medicine.db
	}{
		{name: "beside the sessions", lasts: true},
		{name: "in memory", users: "memory:"},
		{name: "a file of its own", users: "sqlite:{dir}/users.db", lasts: true, file: "users.db"},
		{name: "variable", env: map[string]string{"USERS_STORE": "memory:"}},
		{name: "flag before variable", env: map[string]string{"USERS_STORE": "memory:"}, users: "sqlite:{dir}/users.db", lasts: true, file: "users.db"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			var args []string
			if test.users != "" {
				args = []string{"-users", strings.ReplaceAll(test.users, "{dir}", dir)}
			}
			v := &visitor{t: t}
			i := start(t, dir, test.env, args...)
			v.wantStatus(201, "POST", i.url+"/register", account)
			v.wantStatus(200, "GET", i.url+"/me", "")
			i.stop()
			i = start(t, dir, test.env, args...)
			want := 401 // the session is there, its account is not
			if test.lasts {
				want = 200
			}
			v.wantStatus(want, "GET", i.url+"/me", "")
			i.stop()
			if test.file != "" {
				if _, err := os.Stat(filepath.Join(dir, test.file)); err != nil {
					t.Error(err)
				}
				// The file of accounts does for sessions, too.
				start(t, dir, map[string]string{"SESSION_STORE": "sqlite:" + filepath.Join(dir, test.file)})
			}
		})
	}
}

func TestDefaultUsers(t *testing.T) {
	for store, want := range map[string]string{
		"":                        "sqlite:medicine.db",
		"sqlite:a.db":             "sqlite:a.db",
		"memory:":                 "memory:",
		"postgres://u:p@h/d?a=b":  "postgres://u:p@h/d?a=b",
		"mariadb://u:p@h/d":       "mariadb://u:p@h/d",
		"redis://localhost":       "sqlite:medicine.db",
		"mongodb://localhost/x":   "sqlite:medicine.db",
		"dynamodb://eu-north-1/x": "sqlite:medicine.db",
	} {
		o, err := parseOptions(nil, func(name string) string {
			if name == "SESSION_STORE" {
				return store
			}
			return ""
		}, new(bytes.Buffer))
		if err != nil || o.users != want {
			t.Errorf("with the store %q accounts are kept in %q, %v; want %q", store, o.users, err, want)
		}
	}
}

// What a variable holds is for the program, not for the screen.
func TestHelpShowsNoPassword(t *testing.T) {
	var help bytes.Buffer
	_, err := parseOptions([]string{"-help"}, func(name string) string {
		if strings.HasSuffix(name, "_STORE") {
			return "postgres://u:hunter2@db.example/x"
		}
		return ""
	}, &help)
	if !errors.Is(err, flag.ErrHelp) || strings.Contains(help.String(), "hunter2") {
		t.Errorf("-help = %v, and prints %s; want no password", err, &help)
	}
}

func TestBadUsers(t *testing.T) {
	const password = "hunter2"
	for users, want := range map[string]string{
		"medicine.db":                "sqlite:PATH",
		"redis://localhost":          `"redis"`,
		"memory:x":                   `"memory"`,
		"sqlite:":                    "sqlite:medicine.db",
		"sqlite:no/such/folder/x.db": "no such file",
		"oracle://u:" + password + "@db.example/x":   `"oracle"`,
		"mysql://u:" + password + "@localhost":       "names no database",
		"postgres://u:" + password + "@127.0.0.1:1/": "connect",
		"mysql://u:" + password + "@127.0.0.1:1/x":   "connect",
	} {
		err := runToError(t, nil, "-users", users)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "-users") || strings.Contains(err.Error(), password) {
			t.Errorf("run -users %s = %v; want an error with %s and -users, and without the password", users, err, want)
		}
	}
}
