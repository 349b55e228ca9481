import express from 'express'
import { sqliteBroker } from '../../../dist/broker/sqlite/index.js'
import { ChannelHub } from '../../../dist/index.js'
import { control } from './control.mjs'
import { logFile } from './log-file.mjs'

const app = express()
const hub = new ChannelHub({ broker: process.argv[2] === 'sqlite' ? sqliteBroker({ file: logFile() }) : undefined })

app.use('/events', hub.router({ channels: ['>'], publish: 'anyone' }))
app.post(
  '/control/:what',
  control((name, text) => hub.publish(name, text)),
)

app.listen(process.env.PORT, '127.0.0.1')
