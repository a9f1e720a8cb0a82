// Dynalite throws when a client goes away in the middle of a request, and would
// end with it.
process.on("uncaughtException", error => {
  if (error.code === "ECONNRESET") return
  console.error(error)
  process.exit(1)
})
