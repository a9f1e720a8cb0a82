package medicine

// accountRoutes registers what signs up, in and out.
func (a *App) accountRoutes() {}
