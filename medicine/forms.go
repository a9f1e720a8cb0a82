package medicine

// formRoutes registers the pages that work without JavaScript.
func (a *App) formRoutes() {}
