// An Express application with real express-sessions, one for each element of
// APPS, mounted at its index. It does to the session what a request tells it to
// do and answers with what it then has. It ends when its standard input does.
import express from 'express'
import session from 'express-session'
import { Bridge } from './bridge.mjs'

const app = express()
app.use(express.json())

JSON.parse(process.env.APPS).forEach((options, i) => {
  app.use(`/${i}`, session({ ...options, store: new Bridge(`${process.env.BRIDGE}/${i}`) }), act)
})

async function act (req, res) {
  for (const [op, ...args] of req.body) {
    await ops[op](req, ...args)
  }
  const [name, ...args] = req.body.at(-1) ?? []
  if (name === 'redirect') return res.redirect(303, ...args)
  res.json({ id: req.sessionID ?? null, session: req.session ? JSON.stringify(req.session) : null })
}

const ops = {
  set: (req, key, value) => { req.session[key] = value },
  delete: (req, key) => { delete req.session[key] },
  append: (req, key, value) => { (req.session[key] ??= []).push(value) },
  maxAge: (req, ms) => { req.session.cookie.maxAge = ms },
  touch: req => { req.session.touch() },
  unset: req => { req.session = null },
  save: req => call(req, 'save'),
  reload: req => call(req, 'reload'),
  regenerate: req => call(req, 'regenerate'),
  destroy: req => call(req, 'destroy'),
  redirect: () => {}
}

function call (req, method) {
  return new Promise((resolve, reject) => {
    req.session[method](err => err ? reject(err) : resolve())
  })
}

const server = app.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ port: server.address().port }))
})
process.stdin.resume().on('end', () => process.exit())
