package redisstore

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// Ping reports whether the store can work: that a master answers, that it is new
// enough, has as many replicas as Options.WaitReplicas asks for, and that the
// client's user may do what the store does. Of a Cluster it asks every master.
// It writes nothing.
//
// It warns the Logger of a maxmemory-policy that lets Redis remove what the store
// relies on.
func (s *Store) Ping(ctx context.Context) error {
	err := s.ping(ctx)
	if err != nil {
		if hosts := s.engine.hosts(); hosts != "" {
			err = fmt.Errorf("%s: %w", hosts, err)
		}
	}
	return fail("ping", err)
}

func (s *Store) ping(ctx context.Context) error {
	if _, ok := s.engine.(foreign); ok && s.replicas > 0 {
		return errNoConfirm
	}
	nodes, err := s.engine.masters(ctx)
	if err != nil {
		return err
	}
	for _, node := range nodes {
		if err := s.pingNode(ctx, node); err != nil {
			return err
		}
	}
	// None of these finds anything: an id has no spaces.
	const nobody = "nobody has this id"
	if _, err := loadScript.run(ctx, s.do, s.key(nobody), true, "", ""); err != nil {
		return err
	}
	if _, err := s.do(ctx, command{words: []string{"UNLINK"}, key: s.key(nobody), again: true}); err != nil {
		return err
	}
	_, err = rosterScript.run(ctx, s.do, s.index+nobody, true, "", "", "")
	return err
}

func (s *Store) pingNode(ctx context.Context, node engine) error {
	r, err := do(ctx, node, command{words: []string{"INFO"}, again: true})
	if strings.Contains(text(err), "NOPERM") {
		return nil // where INFO is forbidden, the rest has to do
	}
	if err != nil {
		return err
	}
	info := make(map[string]string)
	for line := range strings.Lines(r.text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[name] = value
		}
	}
	version := info["redis_version"] // Valkey says here what it is compatible with
	if !atLeast(version, 6, 2) {
		return fmt.Errorf("the server is a Redis %s: 6.2 or later is needed, or Valkey", version)
	}
	if n, _ := strconv.Atoi(info["connected_slaves"]); n < s.replicas {
		return fmt.Errorf("Options.WaitReplicas is %d, and %d replicas are connected: no change could be confirmed", s.replicas, n)
	}
	switch policy := info["maxmemory_policy"]; {
	case strings.HasPrefix(policy, "allkeys-"):
		s.log.WarnContext(ctx, "pillbox: redis may forget which sessions a user has, so that they cannot be revoked: set maxmemory-policy to noeviction",
			"maxmemory-policy", policy)
	case strings.HasPrefix(policy, "volatile-"):
		s.log.WarnContext(ctx, "pillbox: redis may end sessions early, and forget that a user was revoked: set maxmemory-policy to noeviction",
			"maxmemory-policy", policy)
	}
	return nil
}

// atLeast reports whether a version such as 7.0.15 is major.minor or later. One
// that it cannot read is.
func atLeast(version string, major, minor int) bool {
	first, rest, _ := strings.Cut(version, ".")
	second, _, _ := strings.Cut(rest, ".")
	x, err := strconv.Atoi(first)
	if err != nil {
		return true
	}
	y, err := strconv.Atoi(second)
	return err != nil || x > major || x == major && y >= minor
}
