import { showBoard } from './board-panel.ts'
import { BreakPanel } from './break-panel.ts'
import { openConnection } from './connection.ts'
import { JobPanel } from './job-panel.ts'
import { showLog } from './log-panel.ts'
import { showMachine } from './machine-panel.ts'
import { showRequests } from './requests-panel.ts'
import { showStatus } from './status.ts'
import { TextPanel } from './text-panel.ts'
import { WirePanel } from './wire-panel.ts'

// One connection for the whole page; each panel hears its own channels on it.

const wire = new WirePanel()
const connection = openConnection({
  head(response) {
    wire.head(response)
    breaking.connected(response)
  },
  text: (text) => wire.text(text),
})
// Nothing arrives before this script has ended.
const breaking = new BreakPanel(connection)
showStatus(connection)
showMachine(connection)
showBoard(connection)
new JobPanel(connection)
showRequests(connection)
showLog(connection)
new TextPanel(connection)
