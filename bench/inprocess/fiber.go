package inprocess

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/session"
	"github.com/valyala/fasthttp"
)

var fiberOps = ops[fiber.Ctx]{
	get: func(c fiber.Ctx) (int, bool, error) {
		n, ok := session.FromContext(c).Get("count").(int)
		return n, ok, nil
	},
	set: func(c fiber.Ctx, n int) error {
		session.FromContext(c).Set("count", n)
		return nil
	},
	put: func(c fiber.Ctx, values map[string]any) error {
		s := session.FromContext(c)
		for key, v := range values {
			s.Set(key, v)
		}
		return nil
	},
}

// fiberSite is a site on fasthttp. Its handler is called as fiber's server
// does it, with a context whose request is parsed anew each time.
type fiberSite struct {
	j       *job
	handler fasthttp.RequestHandler
	c       fasthttp.RequestCtx
	closing func() error
}

// openFiber keeps sessions in memory.
func openFiber() (site, error) {
	middleware, store := session.NewWithStore(session.Config{CookieSecure: true, CookieHTTPOnly: true})
	j, app := new(job), fiber.New()
	app.Use(middleware)
	app.Get("/", func(c fiber.Ctx) error { return fiberOps.do(j, c) })
	return &fiberSite{j: j, handler: app.Handler(), closing: store.Storage.Close}, nil
}

// fiberBare is fiber without sessions.
func fiberBare() (site, error) {
	app := fiber.New()
	app.Get("/", func(fiber.Ctx) error { return nil })
	return &fiberSite{j: new(job), handler: app.Handler()}, nil
}

func (s *fiberSite) call(cookies []string) error {
	s.c.Request.Reset()
	s.c.Response.Reset()
	s.c.ResetUserValues()
	s.c.Request.Header.SetMethod(http.MethodGet)
	s.c.Request.SetRequestURI("/")
	s.c.Request.Header.SetHost("shop.example")
	for _, cookie := range cookies {
		s.c.Request.Header.Add("Cookie", cookie)
	}
	s.handler(&s.c)
	if status := s.c.Response.StatusCode(); status != http.StatusOK {
		return fmt.Errorf("the answer has status %d", status)
	}
	return nil
}

func (s *fiberSite) cookie() string {
	cookie, _, _ := strings.Cut(string(s.c.Response.Header.Peek("Set-Cookie")), ";")
	return cookie
}

func (s *fiberSite) job() *job { return s.j }

func (s *fiberSite) close() error {
	if s.closing == nil {
		return nil
	}
	return s.closing()
}
