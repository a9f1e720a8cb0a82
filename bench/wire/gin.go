package wire

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/gin-contrib/sessions"
	"github.com/gin-contrib/sessions/memstore"
	"github.com/gin-contrib/sessions/redis"
	"github.com/gin-gonic/gin"
)

// openGin opens gin with its sessions. They are saved when a handler asks for it.
func openGin(_ context.Context, s setting) (*site, error) {
	var store sessions.Store = memstore.NewStore([]byte(secret))
	if s.store == "redis" {
		u, err := url.Parse(s.url)
		if err != nil {
			return nil, err
		}
		if store, err = redis.NewStore(connections, "tcp", u.Host, "", "", []byte(secret)); err != nil {
			return nil, err
		}
	}
	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.Any("/cpu", func(c *gin.Context) { c.String(http.StatusOK, cpu()) })
	engine.Any("/bare", func(c *gin.Context) { c.String(http.StatusOK, "visitor") })
	open := func(changes bool, h func(sessions.Session, *http.Request) string) gin.HandlerFunc {
		return func(c *gin.Context) {
			visitor := sessions.Default(c)
			answer := h(visitor, c.Request)
			if changes {
				if err := visitor.Save(); err != nil {
					c.String(http.StatusInternalServerError, err.Error())
					return
				}
			}
			c.String(http.StatusOK, answer)
		}
	}
	with := engine.Group("", sessions.Sessions("session", store))
	with.POST("/start", open(true, func(v sessions.Session, _ *http.Request) string {
		v.Set("user", "visitor")
		v.Set("visits", 0)
		v.Set("list", []int{})
		return "started"
	}))
	with.GET("/read", open(s.slide, func(v sessions.Session, _ *http.Request) string {
		name, _ := v.Get("user").(string)
		return name
	}))
	with.POST("/write", open(true, func(v sessions.Session, _ *http.Request) string {
		n := integer(v.Get("visits")) + 1
		v.Set("visits", n)
		return fmt.Sprint(n)
	}))
	with.POST("/append", open(true, func(v sessions.Session, r *http.Request) string {
		list := integers(v.Get("list"))
		time.Sleep(work)
		v.Set("list", append(list, number(r)))
		return "appended"
	}))
	with.GET("/list", open(false, func(v sessions.Session, _ *http.Request) string {
		return text(integers(v.Get("list")))
	}))
	return &site{handler: engine, close: func() {}}, nil
}
