// The stores that Express applications keep their sessions in, each from its own
// package and with its own defaults.
import session from 'express-session'
import { Bridge } from './bridge.mjs'

// Opens the store of this kind on the server at url.
export function open ({ kind, url, ...options }) {
  return kinds[kind](url, options)
}

// Each package is loaded only where it is asked for: some take their time.
const kinds = {
  bridge: url => new Bridge(url),

  async redis (url, options) {
    const { createClient } = await import('redis')
    const { RedisStore } = await import('connect-redis')
    const client = createClient({ url })
    await client.connect()
    return new RedisStore({ client, ...options })
  },

  async postgres (url, options) {
    const { default: connect } = await import('connect-pg-simple')
    const Store = connect(session)
    return new Store({ conString: url, createTableIfMissing: true, ...options })
  },

  async mysql (url, options) {
    const { default: connect } = await import('express-mysql-session')
    const Store = connect(session)
    const { hostname, port, username, pathname } = new URL(url)
    const store = new Store({ host: hostname, port, user: username, database: pathname.slice(1), ...options })
    await store.onReady()
    return store
  },

  async mongo (url, options) {
    const { MongoStore, createWebCryptoAdapter } = await import('connect-mongo')
    const { webCryptoSecret: secret, ...rest } = options
    if (secret) rest.cryptoAdapter = createWebCryptoAdapter({ secret })
    return MongoStore.create({ mongoUrl: url, ...rest })
  },

  async dynamo (url, options) {
    const { DynamoDBClient } = await import('@aws-sdk/client-dynamodb')
    const { default: connect } = await import('connect-dynamodb')
    const Store = connect(session)
    const client = new DynamoDBClient({
      endpoint: url,
      region: 'us-east-1',
      credentials: { accessKeyId: 'test', secretAccessKey: 'test' }
    })
    const store = new Store({ client, ...options })
    await store.initialize()
    return store
  }
}
