package live

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

var (
	errClosed  = errors.New("closed")
	errCrowded = errors.New("too many streams")
)

// ServeHTTP answers a GET with the stream of the request's session. The request
// does not extend the session, and needs no [session.Manager.Handler] around it.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	if r.Method != http.MethodGet {
		header.Set("Allow", http.MethodGet)
		http.Error(w, "Only GET.", http.StatusMethodNotAllowed)
		return
	}
	if !canFlush(w) {
		h.config.Logger.Error("pillbox: live: the server, or a handler around this one, cannot flush: " +
			"give its http.ResponseWriter the method Unwrap")
		http.Error(w, "This server cannot stream.", http.StatusInternalServerError)
		return
	}
	h.start()
	h.mu.Lock()
	seen := h.notes
	h.mu.Unlock()
	s, err := h.manager.PeekRequest(r.Context(), r)
	var snap *snapshot
	if err == nil {
		snap, err = h.read(s)
	}
	none := errors.Is(err, session.ErrNotFound)
	st := newStream()
	if err == nil {
		err = h.attach(st, snap, seen)
		defer h.detach(st)
	}
	switch {
	case err == nil || none && h.ctx.Err() == nil:
	case r.Context().Err() != nil:
		return
	case errors.Is(err, errCrowded):
		later(w, http.StatusTooManyRequests, "This session is open on too many pages.")
		return
	case errors.Is(err, errClosed) || session.Status(err) == http.StatusServiceUnavailable:
		later(w, http.StatusServiceUnavailable, "The session is not available at the moment.")
		return
	default:
		http.Error(w, "The session cannot be used here.", session.Status(err))
		return
	}

	header.Set("Content-Type", "text/event-stream")
	header.Set("X-Accel-Buffering", "no") // nginx would keep events back
	header.Set("X-Content-Type-Options", "nosniff")
	header.Add("Vary", "Cookie")
	if r.ProtoMajor == 1 {
		// The last write's deadline stays with the connection.
		header.Set("Connection", "close")
	}
	out := &sender{ctx: h.ctx, w: w, rc: http.NewResponseController(w), timeout: h.patience.write}
	out.text.WriteString(retryLine)
	if none {
		cookie := hasCookie(r, h.manager.Policy().CookieName)
		if appendEvent(&out.text, "session", noSessionEvent{Cookie: cookie}) == nil {
			_ = out.send(true) // if it does not arrive, nobody is there
		}
		return
	}
	h.stream(out, st, r)
}

// stream sends what there is to tell until the stream ends.
func (h *Hub) stream(out *sender, st *stream, r *http.Request) {
	idle := time.NewTimer(h.config.Heartbeat)
	defer idle.Stop()
	// A write that waits for a client to read must not hold up Close.
	stop := context.AfterFunc(h.ctx, func() { _ = out.rc.SetWriteDeadline(time.Now()) })
	defer stop()
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-r.Context().Done():
			return
		case <-idle.C:
			out.text.WriteString(heartbeat)
		case <-st.wake:
		}
		t := h.take(st)
		if err := t.encode(&out.text, time.Now()); err != nil {
			h.config.Logger.Error("pillbox: live: encode event", "error", err)
			return
		}
		over := t.ended != nil || t.lost
		if err := out.send(over); err != nil || over {
			return
		}
		idle.Reset(h.config.Heartbeat)
	}
}

// attach makes a stream of the session that a request has. What was heard since
// there were seen notes may be newer than what it found.
func (h *Hub) attach(st *stream, snap *snapshot, seen uint64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return errClosed
	}
	f, fresh := h.follow(snap)
	if len(f.streams) >= h.config.MaxStreams {
		return errCrowded
	}
	st.f = f
	f.streams = append(f.streams, st)
	st.begin(snap)
	if !fresh {
		if f.last.moved(&snap.state) || f.last.diff(snap) != nil {
			// Which of the two is newer, only another look can tell.
			st.base = &snap.state
			h.lookBy(f, time.Now())
		}
		if f.warned {
			st.limit(expiring, &snap.state)
		}
		return nil
	}
	all := h.since(seen, func(n note) {
		switch {
		case n.watched && (n.digest == "" || n.digest == f.digest):
			h.lookBy(f, time.Now().Add(gather))
		case !n.watched:
			h.tell(f, n.event)
		}
	})
	if !all {
		h.lookBy(f, time.Now().Add(gather))
	}
	return nil
}

// detach forgets a stream that is over, and its session with the last of them.
func (h *Hub) detach(st *stream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := st.f
	if f == nil {
		return
	}
	for i := range f.streams {
		if f.streams[i] == st {
			last := len(f.streams) - 1
			f.streams[i], f.streams[last] = f.streams[last], nil
			f.streams = f.streams[:last]
			break
		}
	}
	if len(f.streams) == 0 {
		h.forget(f)
	}
}

// A sender writes to a client that has to read within a time.
type sender struct {
	ctx     context.Context // of the hub
	w       io.Writer
	rc      *http.ResponseController
	timeout time.Duration
	text    bytes.Buffer
}

// send sends the text. Unless it is the last, the next one may be long in coming:
// no deadline of the server's own cuts the stream meanwhile.
func (s *sender) send(last bool) error {
	// Not every writer knows deadlines; without them the server's own hold.
	_ = s.rc.SetWriteDeadline(time.Now().Add(s.timeout))
	if err := s.ctx.Err(); err != nil {
		return err // this deadline may have replaced the one that Close has set
	}
	_, err := s.w.Write(s.text.Bytes())
	s.text = bytes.Buffer{} // a large value's room is not kept
	if err == nil {
		err = s.rc.Flush()
	}
	if err == nil && !last {
		_ = s.rc.SetWriteDeadline(time.Time{})
	}
	return err
}

// later refuses a stream that may be had later. Pages that were refused at the
// same time do not all come back at the same time.
func later(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Retry-After", strconv.Itoa(2+rand.IntN(4)))
	http.Error(w, text, status)
}

// canFlush reports whether what is written can be sent at once. The outer writers
// may have the method without the power.
func canFlush(w http.ResponseWriter) bool {
	for {
		if inner, ok := w.(interface{ Unwrap() http.ResponseWriter }); ok {
			w = inner.Unwrap()
			continue
		}
		switch w.(type) {
		case http.Flusher, interface{ FlushError() error }:
			return true
		}
		return false
	}
}

// hasCookie reports whether the request carries a cookie of this name, be its
// value what it may.
func hasCookie(r *http.Request, name string) bool {
	for _, line := range r.Header["Cookie"] {
		for pair := range strings.SplitSeq(line, ";") {
			if n, _, _ := strings.Cut(strings.TrimSpace(pair), "="); n == name {
				return true
			}
		}
	}
	return false
}
