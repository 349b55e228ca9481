import express from 'express'
import { control } from './control.mjs'

/** What one writes by hand in Express: a Set of responses, and `res.write` to each. */
const app = express()
const channels = new Map()
let lastId = 0

function subscribers(name) {
  if (!channels.has(name)) channels.set(name, new Set())
  return channels.get(name)
}

function publish(name, text) {
  const event = `id: ${++lastId}\ndata: ${text}\n\n`
  for (const res of subscribers(name)) res.write(event)
}

app.get('/events/:channel', (req, res) => {
  res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' })
  res.flushHeaders()
  const all = subscribers(req.params.channel)
  all.add(res)
  res.on('close', () => all.delete(res))
})
app.post('/events/:channel', express.text(), (req, res) => {
  publish(req.params.channel, req.body)
  res.sendStatus(204)
})
app.post('/control/:what', control(publish))

app.listen(process.env.PORT, '127.0.0.1')
