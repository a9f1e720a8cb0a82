package interop_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/medicine"
)

// A visitor with one cookie has the same pills in Medicine and in an Express
// application with the same routes, beside each other on one Redis.
func TestMedicineBesideExpress(t *testing.T) {
	t.Parallel()
	server := servers.Shared(t, servers.Redis7)
	b := newRedis(t, server)
	const place = "medicine"
	a, err := medicine.New(medicine.Config{Session: configure(b.open(t, server.URL, place)), StoreName: "redis"})
	if err != nil {
		t.Fatal(err)
	}
	ours := newServer(t, a.Handler()) + "/pills"
	theirs := startApps(t, app{b.express(server.URL, place), json.RawMessage(recommended)}) + "/0/pills"

	for name, sides := range map[string][2]string{"Medicine": {ours, theirs}, "Express": {theirs, ours}} {
		t.Run("begun by "+name, func(t *testing.T) {
			v := &visitor{t: t}
			var want []string
			for i := range 6 {
				pill := fmt.Sprintf(`{"name":"Ibuprofen %d","mg":[%d,{"per":"day"}]}`, i, 100*i)
				want = append(want, pill)
				answer := `{"data":[` + strings.Join(want, ",") + `]}`
				if got := v.pills("POST", sides[i%2], pill); got != answer {
					t.Errorf("POST %s answers %s; want %s", pill, got, answer)
				}
				for _, url := range sides {
					if got := v.pills("GET", url, ""); got != answer {
						t.Errorf("GET answers %s; want %s", got, answer)
					}
				}
			}
			cookie := v.cookie
			if got := v.pills("DELETE", ours, ""); got != `{"data":[]}` {
				t.Errorf("DELETE answers %s; want none", got)
			}
			if got := v.pills("GET", theirs, ""); got != `{"data":[]}` || v.cookie != cookie {
				t.Errorf("after DELETE by Medicine Express answers %s, with the cookie %q; want none, and %q as before", got, v.cookie, cookie)
			}

			// Ten fast clicks at Medicine, while Express shows the list.
			var all sync.WaitGroup
			for i := range 10 {
				for method, url := range map[string]string{"POST": ours, "GET": theirs} {
					all.Go(func() {
						(&visitor{t: t, cookie: cookie}).pills(method, url, fmt.Sprintf(`{"name":"%d"}`, i))
					})
				}
			}
			all.Wait()
			for _, url := range sides {
				if got := v.pills("GET", url, ""); strings.Count(got, "name") != 10 {
					t.Errorf("after ten fast clicks: %s; want ten pills", got)
				}
			}
			row, err := b.read(t.Context(), place, v.id())
			if err != nil || time.Until(row.expires) < 23*time.Hour {
				t.Errorf("the row is %s, %v; want a day for it", row, err)
			}
		})
	}
}

// pills sends a request to one of Medicine's routes and returns the answer.
func (v *visitor) pills(method, url, body string) string {
	v.t.Helper()
	req, err := http.NewRequestWithContext(v.t.Context(), method, url, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	if method == "POST" {
		req.Body = io.NopCloser(strings.NewReader(body))
		req.Header.Set("Content-Type", "application/json")
	}
	if v.cookie != "" {
		req.Header.Set("Cookie", "connect.sid="+v.cookie)
	}
	resp, err := client.Do(req)
	if err != nil {
		v.t.Error(err)
		return ""
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		v.t.Errorf("%s /pills: %d %s, %v; want 200", method, resp.StatusCode, text, err)
	}
	v.keep(resp.Header["Set-Cookie"])
	return string(text)
}
