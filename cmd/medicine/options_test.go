package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// runToError runs the program with settings that it cannot run with.
func runToError(t *testing.T, env map[string]string, args ...string) error {
	t.Helper()
	if !slices.Contains(args, "-store") && env["SESSION_STORE"] == "" {
		args = append([]string{"-store", "memory:"}, args...)
	}
	if env["SESSION_SECRET"] == "" {
		t.Chdir(t.TempDir())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // for a program that runs against expectation
	defer cancel()
	return run(ctx, args, func(name string) string { return env[name] }, new(bytes.Buffer), new(bytes.Buffer))
}

// Each error says what was set, and what to do.
func TestBadSettings(t *testing.T) {
	for _, test := range []struct {
		name string
		env  map[string]string
		args []string
		want []string
	}{
		{"unknown flag", nil, []string{"-nope"}, []string{"-nope"}},
		{"argument", nil, []string{"-idle", "5m", "serve"}, []string{`"serve"`, "-help"}},
		{"idle without a unit", nil, []string{"-idle", "30"}, []string{"-idle", `"30"`, "30m"}},
		{"absolute in words", nil, []string{"-absolute", "a day"}, []string{"-absolute", `"a day"`, "12h"}},
		{"address without a port", nil, []string{"-addr", "localhost"}, []string{"localhost", "missing port", "-addr", "PORT"}},
		{"port too large", nil, []string{"-addr", "localhost:99999"}, []string{"99999", "invalid port", "-addr"}},
		{"PORT no number", map[string]string{"PORT": "http"}, nil, []string{"PORT", `"http"`, "65535"}},
		{"PORT with a colon", map[string]string{"PORT": ":8080"}, nil, []string{"PORT", `":8080"`, "65535"}},
		{"PORT too large", map[string]string{"PORT": "70000"}, nil, []string{"PORT", `"70000"`, "65535"}},
		{"every origin", nil, []string{"-origins", "*"}, []string{"-origins", "CORS_ORIGINS", "*"}},
		{"origin without a scheme", nil, []string{"-origins", "localhost:5173"}, []string{"-origins", `"localhost:5173"`, "scheme"}},
		{"origin with a slash", map[string]string{"CORS_ORIGINS": "http://localhost:5173/"}, nil, []string{"CORS_ORIGINS", "http://localhost:5173/", "slash"}},
		{"proxy by name", nil, []string{"-trusted-proxies", "proxy.example"}, []string{"-trusted-proxies", "TRUSTED_PROXIES", `"proxy.example"`, "10.0.0.0/8"}},
		{"cookie name", nil, []string{"-cookie-name", "a;b"}, []string{"-cookie-name", `"a;b"`, "letters"}},
		{"cookie name that needs Secure", nil, []string{"-insecure-cookie", "-cookie-name", "__Host-x"}, []string{"-insecure-cookie", "-cookie-name", "__Host-x", "another name"}},
		{"short secret", map[string]string{"SESSION_SECRET": "short"}, nil, []string{"SESSION_SECRET", "16", "openssl rand"}},
		{"well-known secret", map[string]string{"SESSION_SECRET": "keyboard cat"}, nil, []string{"SESSION_SECRET", "placeholder", "openssl rand"}},
		{"unset secret among others", map[string]string{"SESSION_SECRET": "," + testSecret}, nil, []string{"SESSION_SECRET", "empty", "openssl rand"}},
		{"several", map[string]string{"SESSION_SECRET": "short"}, []string{"-cookie-name", "a;b", "-origins", "*"}, []string{"SESSION_SECRET", "-cookie-name", "-origins"}},
		{"store without a scheme", nil, []string{"-store", "medicine.db"}, []string{`"medicine.db"`, "sqlite:PATH", "-store", "SESSION_STORE"}},
		{"unknown store", map[string]string{"SESSION_STORE": "oracle://x"}, nil, []string{`"oracle"`, "memory:", "sqlite:PATH", "-store", "SESSION_STORE"}},
		{"store without a file", nil, []string{"-store", "sqlite:"}, []string{"sqlite:", "sqlite:medicine.db"}},
		{"store in a folder that is not there", nil, []string{"-store", "sqlite:no/such/folder/x.db"}, []string{"no/such/folder/x.db", "no such file", "-store"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := runToError(t, test.env, test.args...)
			if err == nil {
				t.Fatalf("run(%q) with %v = nil; want an error", test.args, test.env)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("run(%q) with %v = %v; want an error that names %s", test.args, test.env, err, want)
				}
			}
		})
	}
}

func TestErrorsKeepSecrets(t *testing.T) {
	const password = "hunter2"
	for _, test := range []struct {
		env  map[string]string
		args []string
	}{
		{nil, []string{"-store", "oracle://user:" + password + "@db.example/x"}},
		{nil, []string{"-store", "//user:" + password + "@db.example/x"}},
		{nil, []string{"-store", "memory://user:" + password + "@db.example/x"}},
		{map[string]string{"SESSION_STORE": "redi://:" + password + "@cache.example"}, nil},
		{map[string]string{"SESSION_SECRET": password}, nil},
		{map[string]string{"SESSION_SECRET": password + "," + testSecret}, nil},
	} {
		err := runToError(t, test.env, test.args...)
		if err == nil || strings.Contains(err.Error(), password) {
			t.Errorf("run(%q) with %v = %v; want an error without %s", test.args, test.env, err, password)
		}
	}
}

func TestPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	addr := l.Addr().String()
	err = runToError(t, nil, "-addr", addr)
	for _, want := range []string{addr, "in use", "-addr", "PORT"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("run with -addr %s, which is taken, = %v; want an error that names %s", addr, err, want)
		}
	}
}

func TestHelp(t *testing.T) {
	var help bytes.Buffer
	_, err := parseOptions([]string{"-help"}, func(string) string { return "" }, &help)
	if !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-help = %v; want flag.ErrHelp", err)
	}
	for _, want := range []string{
		"-addr", "PORT", "localhost:8080", "-store", "SESSION_STORE", "sqlite:medicine.db", "-origins", "CORS_ORIGINS", "http://localhost:5173",
		"-trusted-proxies", "TRUSTED_PROXIES", "-cookie-name", "connect.sid", "-insecure-cookie", "-idle", "30m", "-absolute", "24h",
		"SESSION_SECRET", "medicine.secret",
	} {
		if !strings.Contains(help.String(), want) {
			t.Errorf("-help does not tell of %s", want)
		}
	}
}

func TestDefaultOptions(t *testing.T) {
	o, err := parseOptions(nil, func(string) string { return "" }, new(bytes.Buffer))
	if err != nil || o.addr != "localhost:8080" || o.store != "sqlite:medicine.db" || !slices.Equal(o.origins, []string{"http://localhost:5173"}) ||
		o.cookieName != "" || o.insecure || o.idle != 0 || o.absolute != 0 || o.proxies != nil {
		t.Errorf("parseOptions() = %+v, %v; want localhost:8080, sqlite:medicine.db, http://localhost:5173 and nothing else", o, err)
	}
	o, err = parseOptions([]string{"-addr", ":1"}, func(name string) string { return map[string]string{"PORT": "2"}[name] }, new(bytes.Buffer))
	if err != nil || o.addr != ":1" {
		t.Errorf("-addr :1 with PORT=2 = %q, %v; want :1", o.addr, err)
	}
}

// An error that comes before the store is open leaves no file behind.
func TestBadFlagLeavesNoFile(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	_ = runToError(t, map[string]string{"SESSION_SECRET": testSecret, "SESSION_STORE": "sqlite:" + filepath.Join(dir, "x.db")}, "-idle", "x")
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("run with a bad flag left %v", left)
	}
}
