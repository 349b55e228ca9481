import express from 'express'
import SSE from 'express-sse'
import { control } from './control.mjs'

const app = express()
const channels = new Map()
let lastId = 0

function channel(name) {
  if (!channels.has(name)) channels.set(name, new SSE())
  return channels.get(name)
}

function publish(name, text) {
  channel(name).send(text, undefined, ++lastId)
}

app.get('/events/:channel', (req, res) => channel(req.params.channel).init(req, res))
app.post('/events/:channel', express.text(), (req, res) => {
  publish(req.params.channel, req.body)
  res.sendStatus(204)
})
app.post('/control/:what', control(publish))

app.listen(process.env.PORT, '127.0.0.1')
