import express from 'express'
import SseChannel from 'sse-channel'
import { control } from './control.mjs'

const app = express()
const channels = new Map()

function channel(name) {
  if (!channels.has(name)) channels.set(name, { sse: new SseChannel({ historySize: 1_000 }), lastId: 0 })
  return channels.get(name)
}

function publish(name, text) {
  const to = channel(name)
  to.sse.send({ id: ++to.lastId, data: text })
}

app.get('/events/:channel', (req, res) => channel(req.params.channel).sse.addClient(req, res))
app.post('/events/:channel', express.text(), (req, res) => {
  publish(req.params.channel, req.body)
  res.sendStatus(204)
})
app.post('/control/:what', control(publish))

app.listen(process.env.PORT, '127.0.0.1')
