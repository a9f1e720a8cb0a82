package session

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"
)

// errReplaced is what a handler's writes return after its session could not be
// saved: the client has been told that instead.
var errReplaced = errors.New("pillbox: session was not saved, so the response was replaced by an error")

// errPanicked is what a request fails with whose commit panicked, in the store or
// in Config.GenerateID.
var errPanicked = errors.New("pillbox: save session: panic")

// A responseWriter commits the session before the first byte of the response.
type responseWriter struct {
	http.ResponseWriter
	session  *Session
	begun    bool
	failed   bool
	finished bool
}

// begin commits the session, once, and adds its headers. It reports whether the
// handler's own response may be sent.
func (w *responseWriter) begin() bool {
	if !w.begun {
		w.begun, w.failed = true, true
		err := errPanicked // unless the commit returns
		defer func() {
			if err != nil {
				w.session.fail(err)
			}
		}()
		err = w.session.commitResponse()
		w.failed = err != nil
	}
	return !w.failed
}

// WriteHeader implements [http.ResponseWriter]. Informational responses pass
// through; 101 ends the exchange as HTTP knows it, and commits.
func (w *responseWriter) WriteHeader(code int) {
	if code >= 100 && code < 200 && code != http.StatusSwitchingProtocols {
		if !w.failed {
			w.ResponseWriter.WriteHeader(code)
		}
		return
	}
	if w.begin() {
		w.ResponseWriter.WriteHeader(code)
	}
}

// Write implements [http.ResponseWriter].
func (w *responseWriter) Write(p []byte) (int, error) {
	if !w.begin() {
		return 0, errReplaced
	}
	return w.ResponseWriter.Write(p)
}

// WriteString implements [io.StringWriter].
func (w *responseWriter) WriteString(s string) (int, error) {
	if !w.begin() {
		return 0, errReplaced
	}
	return io.WriteString(w.ResponseWriter, s)
}

// ReadFrom implements [io.ReaderFrom], so that the server can use sendfile.
func (w *responseWriter) ReadFrom(src io.Reader) (int64, error) {
	if !w.begin() {
		return 0, errReplaced
	}
	return io.Copy(w.ResponseWriter, src)
}

// Flush implements [http.Flusher].
func (w *responseWriter) Flush() { _ = w.FlushError() }

// FlushError is what [http.ResponseController] calls to flush.
func (w *responseWriter) FlushError() error {
	if !w.begin() {
		return errReplaced
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Hijack implements [http.Hijacker]. No header leaves any more, so a session
// that needs to send its cookie fails here. Where the server cannot hand over
// the connection, nothing is committed, and the handler can go on.
func (w *responseWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if !canHijack(w.ResponseWriter) {
		return nil, nil, http.ErrNotSupported
	}
	if !w.begun {
		w.session.takeOver()
	}
	if !w.begin() {
		return nil, nil, errReplaced
	}
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

func canHijack(w http.ResponseWriter) bool {
	for {
		switch t := w.(type) {
		case http.Hijacker:
			return true
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return false
		}
	}
}

// Unwrap is what [http.ResponseController] finds the server's own writer by.
func (w *responseWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// finish commits what is left when the handler returns.
func (w *responseWriter) finish() {
	late := w.begun
	if !late {
		w.begin() // the server sends an empty 200 after this
	}
	w.session.finish(late && !w.failed)
	w.finished = true
}

// finish commits what changed after the first byte of the response, as far as
// that is possible, and notes that the request is over: what a stray goroutine
// changes afterwards is an error. Nothing is dropped in silence.
func (s *Session) finish(late bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.st
	if late && st != nil && (len(st.changes) > 0 || st.next.on || st.lifetime != nil || st.touch) {
		if err := s.commit(); err != nil {
			s.m.emit(s.ctx, st.key, Event{Kind: EventFailed, Err: fmt.Errorf("after the response had begun: %w", err)})
		}
	}
	s.over = true
}

// commitResponse commits the session and adds its headers to the response.
func (s *Session) commitResponse() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.st == nil && !s.m.always {
		s.sent = true
		return nil
	}
	defer func() { s.sent = true }() // also if the commit panics
	err := s.commit()
	if err == nil && s.taken && s.st.fresh {
		err = fmt.Errorf("pillbox: set cookie: %w", ErrTooLate)
	}
	if err != nil || !s.taken {
		// Beside an error, too: a handler may have saved a new id before.
		s.addHeaders()
	}
	return err
}

// takeOver notes that the connection is about to leave HTTP.
func (s *Session) takeOver() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken = true
}

// addHeaders adds the cookie to the response, and what caches need to know.
func (s *Session) addHeaders() {
	st := s.st
	if !st.loaded {
		return
	}
	h := s.w.Header()
	s.addVary(h)
	encrypted := s.m.encrypted(s.r)
	switch {
	case st.sendCookie && st.rec != nil:
		if !st.fresh && !s.repeatable(encrypted) {
			return
		}
		expires := s.m.expires(st.rec.meta, st.rec.maxAge, time.Now())
		h["Set-Cookie"] = append(h["Set-Cookie"], s.m.setCookie(st.id, expires, encrypted))
	case st.clearCookie:
		h["Set-Cookie"] = append(h["Set-Cookie"], s.m.clearCookie(encrypted))
	default:
		return
	}
	// A cache that kept this response would hand one visitor's cookie to
	// another (OWASP Session Management Cheat Sheet, "Web Content Caching").
	if !keptPrivate(h) {
		h["Cache-Control"] = []string{"no-store"}
	}
	delete(h, "Cdn-Cache-Control") // these would overrule it (RFC 9213)
	delete(h, "Surrogate-Control")
}

// repeatable reports whether a cookie that the browser has may be sent again:
// not where it would be dropped, and not in the clear after it began encrypted.
func (s *Session) repeatable(encrypted bool) bool {
	return s.m.deliverable(s.r) == nil && (encrypted || s.m.config.Cookie.Secure != SecureAuto ||
		!bytes.Contains(s.st.rec.cookie, []byte(`"secure":true`)))
}

// keptPrivate reports whether the handler keeps shared caches from the whole of
// the response. The form private="Name" speaks of one header only
// (RFC 9111 §5.2.2.7).
func keptPrivate(h http.Header) bool {
	for _, line := range h["Cache-Control"] {
		for directive := range strings.SplitSeq(line, ",") {
			directive = strings.TrimSpace(directive)
			if strings.EqualFold(directive, "no-store") || strings.EqualFold(directive, "private") {
				return true
			}
		}
	}
	return false
}

// addVary tells caches that the response depends on the request's cookies.
func (s *Session) addVary(h http.Header) {
	if len(h["Vary"]) == 0 {
		s.st.vary[0] = "Cookie"
		h["Vary"] = s.st.vary[:]
		return
	}
	for _, line := range h["Vary"] {
		for name := range strings.SplitSeq(line, ",") {
			if name = strings.TrimSpace(name); name == "*" || strings.EqualFold(name, "Cookie") {
				return
			}
		}
	}
	h.Add("Vary", "Cookie")
}

// fail answers a request whose session could not be committed. Headers that
// described the handler's own response go.
func (s *Session) fail(err error) {
	s.mu.Lock()
	key := s.use().key
	s.mu.Unlock()
	h := s.w.Header()
	for _, name := range []string{
		"Content-Length", "Content-Encoding", "Content-Type", "Content-Disposition",
		"Content-Range", "Accept-Ranges", "Transfer-Encoding", "Trailer",
		"Etag", "Last-Modified", "Location", "Refresh", "Upgrade", "Connection",
	} {
		h.Del(name)
	}
	h.Set("Cache-Control", "no-store")
	s.report(key, err)
	if s.m.config.ErrorHandler != nil {
		s.m.config.ErrorHandler(s.w, s.r, err)
		return
	}
	http.Error(s.w, explain(err), Status(err))
}

// report tells log and observer about a failed commit. A client that went away
// is no matter for an operator.
func (s *Session) report(key string, err error) {
	if errors.Is(err, context.Canceled) && s.ctx.Err() != nil {
		s.m.logger().LogAttrs(s.ctx, slog.LevelDebug, "pillbox: client went away before its session was saved")
		return
	}
	s.m.emit(s.ctx, key, Event{Kind: EventFailed, Err: err})
}

// panicked runs last. If the handler has panicked, nothing is committed, but a
// cookie for what was saved before goes with the answer of whoever recovers.
func (w *responseWriter) panicked() {
	if w.finished {
		return
	}
	s := w.session
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	if !w.begun && s.st != nil && s.st.loaded && (s.st.fresh || s.st.clearCookie) && !s.taken {
		s.addHeaders()
	}
}
