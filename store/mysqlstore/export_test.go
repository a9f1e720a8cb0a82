package mysqlstore

// TooOld tells whether a server of this version is refused.
func TooOld(version string) bool { return tooOld(version) }
