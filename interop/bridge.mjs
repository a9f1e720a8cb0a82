// A store of express-session whose records lie in a Go program: a store of
// Pillbox behind HTTP. Like every store of Express it sets blindly, whatever is
// there, and knows no versions.
import session from 'express-session'

const day = 86400000

export class Bridge extends session.Store {
  constructor (url) {
    super()
    this.url = url
  }

  get (sid, callback) {
    settle(this.#call('GET', sid).then(text => text === null ? undefined : JSON.parse(text)), callback)
  }

  set (sid, sess, callback) {
    settle(this.#call('PUT', sid, `?ttl=${ttl(sess)}`, JSON.stringify(sess)), callback)
  }

  touch (sid, sess, callback) {
    settle(this.#call('POST', sid, `?ttl=${ttl(sess)}`), callback)
  }

  destroy (sid, callback) {
    settle(this.#call('DELETE', sid), callback)
  }

  // Resolves to the answer's text, or null where there is no such record.
  async #call (method, sid, query = '', body = undefined) {
    const answer = await fetch(`${this.url}/${encodeURIComponent(sid)}${query}`, { method, body })
    const text = await answer.text()
    if (answer.status === 404) return null
    if (!answer.ok) throw new Error(`${method}: ${answer.status} ${text}`)
    return text
  }
}

// As in connect-redis: the cookie's, or a day.
function ttl (sess) {
  return sess.cookie.expires ? new Date(sess.cookie.expires) - Date.now() : day
}

function settle (promise, callback = () => {}) {
  promise.then(value => callback(null, value), callback)
}
