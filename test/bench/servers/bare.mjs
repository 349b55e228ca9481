import { createServer } from 'node:http'
import { bareChannels } from './bare-channel.mjs'
import { readText } from './body.mjs'
import { answer, control } from './control.mjs'

const PREFIX = '/events/'
const channel = bareChannels(process.argv[2] === 'joined')
const controlled = control((name, text) => channel(name).publish(text))

createServer((req, res) => {
  if (!req.url.startsWith(PREFIX)) return controlled(req, res)
  const name = req.url.slice(PREFIX.length)
  if (req.method === 'GET') return channel(name).subscribe(req, res)
  readText(req, (text) => {
    channel(name).publish(text)
    answer(res, 204)
  })
}).listen(process.env.PORT, '127.0.0.1')
