import { setTimeout as sleep } from 'node:timers/promises'
import { connectionsOf, inSilence, type Nemesis } from '../nemesis.ts'

// What can happen to the process of a hub, whatever its broker.

/** The process dies in the middle of its batches. Everybody is back before anything new is published. */
export const killed: Nemesis = {
  name: 'killed, and nothing new before every client has reconnected',
  lossy: false,
  async strike(target) {
    const { hub } = target
    const before = connectionsOf(target)
    await hub.kill()
    await inSilence(target, async () => {
      await hub.start()
      await target.reconnected(before)
    })
  },
}

/** The same, with publishers that continue at once. */
export const killedUnderLoad: Nemesis = {
  name: 'killed under load',
  lossy: false,
  async strike({ hub }) {
    await hub.kill()
    await hub.start()
  },
}

/** A crash loop: started and killed again before a client can publish. */
export const crashLoop: Nemesis = {
  name: 'killed again and again before any publish',
  lossy: false,
  async strike(target) {
    const { hub, random } = target
    await hub.kill()
    await inSilence(target, async () => {
      for (let i = 0; i < 3; i++) {
        await hub.start()
        await sleep(random() * 100)
        await hub.kill()
      }
      const before = connectionsOf(target)
      await hub.start()
      await target.reconnected(before)
    })
  },
}

/** A deploy: ended as it should be, and started again. */
export const deployed: Nemesis = {
  name: 'deployed',
  lossy: false,
  async strike({ hub }) {
    await hub.stop()
    await hub.start()
  },
}

/** The process does not run for a while; its connections stand. */
export const frozen: Nemesis = {
  name: 'frozen',
  lossy: false,
  async strike({ hub, random }) {
    hub.freeze()
    await sleep(300 + random() * 700)
    hub.thaw()
  },
}

/** The wall clock is stepped by an hour, and back. */
export const clockStepped: Nemesis = {
  name: 'clock stepped by an hour',
  lossy: false,
  async strike({ hub, load }) {
    for (const stepClockMs of [3_600_000, -7_200_000, 3_600_000]) {
      hub.tell({ stepClockMs })
      await load(200)
    }
    await hub.kill()
    await hub.start()
  },
}
