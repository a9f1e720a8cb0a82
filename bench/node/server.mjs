// An Express application that does what bench/wire asks of each peer. The
// environment says where its sessions are: STORE is memory, redis or postgres, URL
// the server's. It prints its address and ends when its standard input does.
import express from 'express'
import session from 'express-session'

process.stdin.resume().on('end', () => process.exit())

const { STORE, URL: url } = process.env
const week = 7 * 24 * 3600

const stores = {
  memory: async () => new session.MemoryStore(),

  async redis () {
    const { createClient } = await import('redis')
    const { RedisStore } = await import('connect-redis')
    const client = createClient({ url })
    await client.connect()
    return new RedisStore({ client, ttl: week })
  },

  async postgres () {
    const { default: pg } = await import('pg')
    const { default: connect } = await import('connect-pg-simple')
    const pool = new pg.Pool({ connectionString: url, max: 16 })
    return new (connect(session))({ pool, createTableIfMissing: true, ttl: week })
  }
}

const app = express()
app.disable('x-powered-by')
app.get('/cpu', (req, res) => {
  const { user, system } = process.cpuUsage()
  res.type('text').send(String((user + system) * 1000))
})
app.all('/bare', (req, res) => res.type('text').send('visitor'))

app.use(session({
  secret: 'bench-secret-bench-secret-bench-',
  resave: false,
  saveUninitialized: false,
  store: await stores[STORE]()
}))

app.post('/start', (req, res) => {
  Object.assign(req.session, { user: 'visitor', visits: 0, list: [] })
  res.type('text').send('started')
})
app.get('/read', (req, res) => res.type('text').send(req.session.user ?? ''))
app.post('/write', (req, res) => {
  req.session.visits++
  res.type('text').send(String(req.session.visits))
})
app.post('/append', async (req, res) => {
  const list = req.session.list
  await new Promise(resolve => setTimeout(resolve, 5))
  req.session.list = [...list, Number(req.query.v)]
  res.type('text').send('appended')
})
app.get('/list', (req, res) => res.json(req.session.list))

const server = app.listen(0, '127.0.0.1', () => console.log(`127.0.0.1:${server.address().port}`))
// As Go's: a connection may rest between two measurements.
server.keepAliveTimeout = 0
