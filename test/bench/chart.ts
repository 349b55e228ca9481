import { hub } from './peers.ts'
import { median, type Row } from './results.ts'

const WINDOWS = [1, 2, 16] as const
const [LABELS, BARS, BAR, GAP, TOP, BOTTOM] = [190, 460, 13, 14, 58, 12]
const WIDTH = LABELS + BARS + 60

interface Group {
  readonly server: string
  readonly values: readonly (number | undefined)[]
}

/** The row of each server for each number of events in flight. */
function groupsOf(rows: readonly Row[]): Group[] {
  const wanted = WINDOWS.map((window) => `1,000 subscribers, ${window} in flight`)
  const found = rows.filter(({ scenario, table }) => scenario === 'fan-out' && wanted.includes(table))
  return [...new Set(found.map(({ server }) => server))]
    .map((server) => ({
      server,
      values: wanted.map((table) => {
        const values = found.find((row) => row.server === server && row.table === table)?.values['cpu']
        return values === undefined || values.length === 0 ? undefined : median(values)
      }),
    }))
    .toSorted((a, b) => (a.values[0] ?? Number.POSITIVE_INFINITY) - (b.values[0] ?? Number.POSITIVE_INFINITY))
}

function asText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}

/** CPU time per delivery to 1,000 subscribers, as horizontal bars; undefined when it was not measured. */
export function chart(rows: readonly Row[]): string | undefined {
  const groups = groupsOf(rows)
  if (groups.length === 0) return undefined
  const most = Math.max(...groups.flatMap(({ values }) => values.map((value) => value ?? 0)))
  const height = TOP + groups.length * (WINDOWS.length * BAR + GAP) + BOTTOM
  const parts = groups.map(({ server, values }, i) => {
    const top = TOP + i * (WINDOWS.length * BAR + GAP)
    const middle = top + (WINDOWS.length * BAR) / 2 + 4
    const name = server === hub.title ? 'name ours' : 'name'
    const bars = values.map((value, k) => {
      if (value === undefined) return ''
      const y = top + k * BAR
      const width = Math.max(1, Math.round((value / most) * BARS))
      return (
        `<rect class="w${WINDOWS[k]}" x="${LABELS}" y="${y}" width="${width}" height="${BAR - 2}" rx="2"/>` +
        `<text class="value" x="${LABELS + width + 5}" y="${y + BAR - 4}">${value.toFixed(1)}</text>`
      )
    })
    return `<text class="${name}" x="${LABELS - 10}" y="${middle}">${asText(server)}</text>${bars.join('')}`
  })
  const legend = WINDOWS.map((window, i) => {
    const x = LABELS + i * 130
    return `<rect class="w${window}" x="${x}" y="33" width="11" height="11" rx="2"/><text x="${x + 17}" y="43">${window} in flight</text>`
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">
<title>CPU time of the server per delivery, one channel with 1,000 subscribers, in µs: less is better</title>
<style>
  .ground { fill: #fff }
  text { font: 12px system-ui, sans-serif; fill: #444 }
  .title { font-size: 14px; font-weight: 600 }
  .name { text-anchor: end }
  .ours { font-weight: 700; fill: #111 }
  .value { font-size: 11px }
  .w1 { fill: #1f6feb } .w2 { fill: #8957e5 } .w16 { fill: #2da44e }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117 } text { fill: #bbb } .ours { fill: #fff }
    .w1 { fill: #58a6ff } .w2 { fill: #bc8cff } .w16 { fill: #56d364 }
  }
</style>
<rect class="ground" width="${WIDTH}" height="${height}"/>
<text class="title" x="${LABELS}" y="18">CPU µs per delivery, 1,000 subscribers (less is better)</text>
${[...legend, ...parts].join('\n')}
</svg>
`
}
