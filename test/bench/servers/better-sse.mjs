import { createChannel, createSession } from 'better-sse'
import express from 'express'
import { control } from './control.mjs'

const app = express()
const channels = new Map()
let lastId = 0

function channel(name) {
  if (!channels.has(name)) channels.set(name, createChannel())
  return channels.get(name)
}

function publish(name, text) {
  channel(name).broadcast(text, 'message', { eventId: String(++lastId) })
}

app.get('/events/:channel', async (req, res) => {
  channel(req.params.channel).register(await createSession(req, res))
})
app.post('/events/:channel', express.text(), (req, res) => {
  publish(req.params.channel, req.body)
  res.sendStatus(204)
})
app.post('/control/:what', control(publish))

app.listen(process.env.PORT, '127.0.0.1')
