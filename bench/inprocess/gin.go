package inprocess

import (
	"log/slog"
	"net/http"

	"github.com/gin-contrib/sessions"
	"github.com/gin-contrib/sessions/memstore"
	"github.com/gin-gonic/gin"
)

var ginOps = ops[*gin.Context]{
	get: func(c *gin.Context) (int, bool, error) {
		n, ok := sessions.Default(c).Get("count").(int)
		return n, ok, nil
	},
	set: func(c *gin.Context, n int) error {
		s := sessions.Default(c)
		s.Set("count", n)
		return s.Save()
	},
	put: func(c *gin.Context, values map[string]any) error {
		s := sessions.Default(c)
		for key, v := range values {
			s.Set(key, v)
		}
		return s.Save()
	},
}

func ginServe(j *job, o ops[*gin.Context]) gin.HandlerFunc {
	return func(c *gin.Context) {
		if err := o.do(j, c); err != nil {
			c.String(http.StatusInternalServerError, err.Error())
			return
		}
		c.Status(http.StatusOK)
	}
}

func newGin() *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	return gin.New()
}

// openGin keeps sessions in memory. It logs an error for each invalid cookie;
// writing that down is not counted.
func openGin() (site, error) {
	logger := slog.Default()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	store := memstore.NewStore([]byte(secret))
	store.Options(sessions.Options{Path: "/", MaxAge: 86400, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	j, e := new(job), newGin()
	e.Use(sessions.Sessions("session", store))
	e.GET("/", ginServe(j, ginOps))
	return newWebSite(j, e, func() error { slog.SetDefault(logger); return nil }), nil
}

// ginBare is gin without sessions.
func ginBare() (site, error) {
	j, e := new(job), newGin()
	e.GET("/", func(c *gin.Context) { c.Status(http.StatusOK) })
	return newWebSite(j, e, nil), nil
}
