package wire

import (
	"context"
	"net"
	"strconv"
	"time"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/session"
)

// openFiber opens fiber with its sessions, which it saves after every request
// that comes by them.
func openFiber(context.Context, setting) (*site, error) {
	app := fiber.New()
	app.All("/cpu", func(c fiber.Ctx) error { return c.SendString(cpu()) })
	app.All("/bare", func(c fiber.Ctx) error { return c.SendString("visitor") })
	with, store := session.NewWithStore(session.Config{IdleTimeout: idle})
	store.RegisterType([]int{})
	app.Use(with)
	app.Post("/start", func(c fiber.Ctx) error {
		s := session.FromContext(c)
		s.Set("user", "visitor")
		s.Set("visits", 0)
		s.Set("list", []int{})
		return c.SendString("started")
	})
	app.Get("/read", func(c fiber.Ctx) error {
		name, _ := session.FromContext(c).Get("user").(string)
		return c.SendString(name)
	})
	app.Post("/write", func(c fiber.Ctx) error {
		s := session.FromContext(c)
		n := integer(s.Get("visits")) + 1
		s.Set("visits", n)
		return c.SendString(strconv.Itoa(n))
	})
	app.Post("/append", func(c fiber.Ctx) error {
		s := session.FromContext(c)
		list := integers(s.Get("list"))
		time.Sleep(work)
		v, err := strconv.Atoi(c.Query("v"))
		if err != nil {
			return err
		}
		s.Set("list", append(list, v))
		return c.SendString("appended")
	})
	app.Get("/list", func(c fiber.Ctx) error {
		return c.SendString(text(integers(session.FromContext(c).Get("list"))))
	})
	return &site{
		serve: func(l net.Listener) error {
			return app.Listener(l, fiber.ListenConfig{DisableStartupMessage: true})
		},
		close: func() {},
	}, nil
}
