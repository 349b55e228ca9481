/** The data of an event, in the form that ../load/mark.ts reads: a number between marks, then padding. */
function payload(n, size) {
  return `|#n=${String(n).padStart(10, '0')}|`.padEnd(size, 'x')
}

/**
 * The routes under /control, which are the same for every server and not a part of the measurement:
 * `gc` collects garbage twice, because the first pass only finds the objects that the second can free;
 * `publish` publishes `n` events in the process, `perTurn` in one turn of the loop.
 */
export function control(publish) {
  return (req, res) => {
    const { pathname, searchParams } = new URL(req.url, 'http://localhost')
    if (pathname === '/control/gc') {
      globalThis.gc()
      globalThis.gc()
      return answer(res, 204)
    }
    if (pathname !== '/control/publish') return answer(res, 404)
    const channel = searchParams.get('channel')
    const [from, n, perTurn, size] = ['from', 'n', 'perTurn', 'size'].map((name) => Number(searchParams.get(name)))
    let next = from
    const turn = () => {
      const end = Math.min(from + n, next + perTurn)
      for (; next < end; next++) publish(channel, payload(next, size))
      if (next < from + n) setImmediate(turn)
      else answer(res, 204)
    }
    turn()
  }
}

export function answer(res, status) {
  res.writeHead(status, status === 204 ? {} : { 'Content-Length': 0 })
  res.end()
}
