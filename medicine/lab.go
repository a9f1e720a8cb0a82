package medicine

// labRoutes registers the attacks of the security lab.
func (a *App) labRoutes() {}
