// The pills of Medicine as an Express application keeps them: a list in the
// visitor's session, read whole and written back whole.
import express from 'express'

export const pills = express.Router()

pills.get('/pills', (req, res) => {
  res.json({ data: req.session.pills ?? [] })
})

pills.post('/pills', (req, res) => {
  req.session.pills = [...req.session.pills ?? [], req.body]
  res.json({ data: req.session.pills })
})
