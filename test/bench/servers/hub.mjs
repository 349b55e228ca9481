import express from 'express'
import { ChannelHub } from '../../../dist/index.js'
import { control } from './control.mjs'

const app = express()
const hub = new ChannelHub()

app.use('/events', hub.router({ channels: ['>'], publish: 'anyone' }))
app.post(
  '/control/:what',
  control((name, text) => hub.publish(name, text)),
)

app.listen(process.env.PORT, '127.0.0.1')
