// Answers a list of questions, JSON on standard input, with what the packages
// that express-session uses say, and with what it makes of them.
import { createRequire } from 'node:module'
import { text } from 'node:stream/consumers'
import signature from 'cookie-signature'
import oldSignature from 'cookie-signature-1.0.7'

// The very copy that express-session uses.
const cookie = createRequire(import.meta.resolve('express-session'))('cookie')

const questions = {
  // The cookie's value, by both generations of cookie-signature.
  sign ({ id, secret }) {
    return [signature, oldSignature].map(s => encodeURIComponent('s:' + s.sign(id, secret)))
  },

  // The id in a Cookie header: getcookie of express-session's index.js.
  read ({ header, name, secrets }) {
    return [signature, oldSignature].map(s => {
      const raw = cookie.parse(header)[name]
      if (!raw || raw.slice(0, 2) !== 's:') return null
      for (const secret of secrets) {
        const id = s.unsign(raw.slice(2), secret)
        if (id !== false) return id || null
      }
      return null
    })
  },

  // The Set-Cookie line.
  serialize ({ name, value, options }) {
    if (options.expires) options.expires = new Date(options.expires)
    return cookie.serialize(name, value, options)
  }
}

const answers = JSON.parse(await text(process.stdin)).map(q => questions[q.ask](q))
process.stdout.write(JSON.stringify(answers))
