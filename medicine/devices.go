package medicine

// deviceRoutes registers the list of a user's own sessions.
func (a *App) deviceRoutes() {}
