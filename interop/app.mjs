// An Express application with real express-sessions, one for each element of
// APPS, mounted at its index, each on a store of its own. It does to the session
// what a request tells it to do and answers with what it then has. Beside that it
// has the pills of Medicine. It ends when its standard input does.
import express from 'express'
import session from 'express-session'
import { open } from './stores.mjs'
import { pills } from './pills.mjs'

// First of all, so that it also ends while it waits for a store.
process.stdin.resume().on('end', () => process.exit())

const app = express()
app.use(express.json())

for (const [i, { store, options }] of JSON.parse(process.env.APPS).entries()) {
  const sessions = session({ ...options, store: await open(store) })
  app.use(`/${i}`, sessions, pills, act)
}

async function act (req, res) {
  let result
  for (const [op, ...args] of req.body) {
    result = await ops[op](req, ...args)
  }
  const [name, ...args] = req.body.at(-1) ?? []
  if (name === 'redirect') return res.redirect(303, ...args)
  res.json({ id: req.sessionID ?? null, session: req.session ? JSON.stringify(req.session) : null, result })
}

const ops = {
  set: (req, key, value) => { req.session[key] = value },
  delete: (req, key) => { delete req.session[key] },
  append: (req, key, value) => { (req.session[key] ??= []).push(value) },
  maxAge: (req, ms) => { req.session.cookie.maxAge = ms },
  touch: req => { req.session.touch() },
  unset: req => { req.session = null },
  save: req => call(req.session, 'save'),
  reload: req => call(req.session, 'reload'),
  regenerate: req => call(req.session, 'regenerate'),
  destroy: req => call(req.session, 'destroy'),
  // As the documentation of express-session has a user sign in and out.
  signIn: async (req, user) => {
    await call(req.session, 'regenerate')
    req.session.user = user
    await call(req.session, 'save')
  },
  signOut: req => call(req.session, 'destroy'),
  // What an operator asks the store for: all, length, clear.
  store: (req, method) => call(req.sessionStore, method),
  // Goes on when this address answers.
  wait: (req, url) => fetch(url),
  redirect: () => {}
}

function call (object, method) {
  return new Promise((resolve, reject) => {
    object[method]((err, result) => err ? reject(err) : resolve(result))
  })
}

const server = app.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ port: server.address().port }))
})
