import express from 'express'
import { bareChannels } from './bare-channel.mjs'
import { readText } from './body.mjs'
import { answer, control } from './control.mjs'

const app = express()
const channel = bareChannels(true)

app.get('/events/:channel', (req, res) => channel(req.params.channel).subscribe(req, res))
app.post('/events/:channel', (req, res) => {
  readText(req, (text) => {
    channel(req.params.channel).publish(text)
    answer(res, 204)
  })
})
app.post(
  '/control/:what',
  control((name, text) => channel(name).publish(text)),
)

app.listen(process.env.PORT, '127.0.0.1')
