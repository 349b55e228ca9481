// One native EventSource for four channels. The envelope says which channel an event came from; the browser reconnects
// and sends the last event ID by itself, and the hub goes on from there.

const CHANNELS = ['machine', 'requests', 'log', 'board']
const ROWS = { board: 200, requests: 50, log: 200 }
// Half a minute, of which the first page of history brings the most.
const SAMPLES = 60

const $ = (id) => document.getElementById(id)
const counts = Object.fromEntries(CHANNELS.map((channel) => [channel, 0]))

// -- the connection --

const query = CHANNELS.map((channel) => `channel=${channel}`).join('&')
const source = new EventSource(`/channels?${query}&envelope=1&rewind=50`)
let lostAt

function show(state, text) {
  $('dot').dataset.state = state
  $('status').textContent = text
}

source.addEventListener('hub.open', (event) => {
  const { resumed } = JSON.parse(event.data)
  const seconds = lostAt === undefined ? undefined : ((Date.now() - lostAt) / 1000).toFixed(1)
  lostAt = undefined
  if (seconds === undefined) show('live', 'Live.')
  else
    show('live', `Live again after ${seconds} s${resumed ? ': continued where it stopped, nothing is missing.' : '.'}`)
})

source.addEventListener('hub.gap', (event) => {
  const { reason, channels, from, to } = JSON.parse(event.data)
  const item = document.createElement('li')
  item.textContent = `Missed (${reason}): events of ${channels.join(', ')} after ${from ?? 'an unknown position'} up to ${to}.`
  prepend($('missed'), item, 5)
})

source.addEventListener('hub.closed', (event) => {
  lostAt = Date.now()
  show('reconnecting', `The server ended the stream (${JSON.parse(event.data).reason}). Reconnecting …`)
})

// The position rides on events that a page need not look at: the browser remembers their ID.
source.addEventListener('hub.position', () => {})

source.addEventListener('error', () => {
  if (source.readyState === EventSource.CLOSED)
    return show('closed', 'Closed by the server. Reload the page to try again.')
  lostAt ??= Date.now()
  show('reconnecting', `Reconnecting since ${new Date(lostAt).toLocaleTimeString()} …`)
})

source.addEventListener('message', (event) => {
  const { channel, data } = JSON.parse(event.data)
  counts[channel]++
  document.querySelector(`[data-count="${channel}"]`).textContent = `${counts[channel]} received`
  panels[channel](data)
})

// -- the panels --

const history = { cpu: [], memory: [], delay: [], load: [] }

const panels = {
  machine({ cpuPercent, memoryUsedBytes, memoryTotalBytes, load, eventLoopDelay }) {
    const memory = (100 * memoryUsedBytes) / memoryTotalBytes
    value('cpu', `${cpuPercent.toFixed(1)} %`)
    value('memory', `${(memoryUsedBytes / 2 ** 30).toFixed(1)} / ${(memoryTotalBytes / 2 ** 30).toFixed(1)} GiB`)
    value('delay', `${eventLoopDelay.p50.toFixed(1)} / ${eventLoopDelay.p99.toFixed(1)} ms`)
    value('load', load.toFixed(2))
    line('cpu', cpuPercent, 100)
    line('memory', memory, 100)
    line('delay', eventLoopDelay.p99, 10)
    line('load', load, 1)
  },
  requests({ at, method, path, status, ms }) {
    const row = document.createElement('tr')
    for (const text of [new Date(at).toLocaleTimeString([], { hour12: false }), method, path, status ?? '–', ms]) {
      const cell = document.createElement('td')
      cell.textContent = text
      row.append(cell)
    }
    row.lastChild.className = 'number'
    prepend($('requests'), row, ROWS.requests)
  },
  log(text) {
    const line = document.createElement('div')
    line.textContent = text
    const log = $('log')
    const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 5
    log.append(line)
    while (log.childElementCount > ROWS.log) log.firstChild.remove()
    if (atEnd) log.scrollTop = log.scrollHeight
  },
  board(data) {
    const item = document.createElement('li')
    item.textContent = typeof data === 'string' ? data : (data?.text ?? JSON.stringify(data))
    prepend($('board'), item, ROWS.board)
  },
}

function prepend(list, item, most) {
  list.prepend(item)
  while (list.childElementCount > most) list.lastElementChild.remove()
}

function value(name, text) {
  document.querySelector(`[data-value="${name}"]`).textContent = text
}

/** Draws the last samples, the newest at the right. What is above `least` stretches the scale. */
function line(name, sample, least) {
  const samples = history[name]
  samples.push(sample)
  if (samples.length > SAMPLES) samples.shift()
  const most = Math.max(least, ...samples)
  const points = samples.map((y, x) => `${x + SAMPLES - samples.length},${29 - (28 * y) / most}`)
  document.querySelector(`[data-line="${name}"] polyline`).setAttribute('points', points.join(' '))
}

// -- the board's form, and what depends on how the server was started --

$('form').addEventListener('submit', async (event) => {
  event.preventDefault()
  const { text } = event.target.elements
  try {
    const response = await fetch('/channels/board', { method: 'POST', body: text.value })
    $('refused').textContent = response.ok ? '' : (await response.json()).detail
    if (response.ok) text.value = ''
  } catch {
    $('refused').textContent = 'Not sent: the server cannot be reached.'
  }
})
$('origin').textContent = location.origin
try {
  const { followsLog } = await (await fetch('/config')).json()
  $('log-hint').hidden = followsLog
  $('log').hidden = !followsLog
} catch {
  // The connection was lost at once: then the panel shows whatever comes.
}
