import * as v from 'valibot'
import { describe, expect, it } from 'vitest'
import { ChannelHub, type Schema } from '../../src/index.ts'
import { appWith, expectProblem, flavours, makeHub, post, serve } from '../express/support.ts'

/** Takes objects with a positive number of cents. */
const price: Schema<{ cents: number }> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: async (value) => {
      const { cents } = (value ?? {}) as { cents?: unknown }
      if (typeof cents === 'number' && cents > 0) return { issues: undefined }
      return { issues: [{ message: 'must be a positive number', path: [{ key: 'cents' }] }] }
    },
  },
}
const text: Schema<string> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value) => (typeof value === 'string' ? {} : { issues: [{ message: 'must be text' }] }),
  },
}

describe.each(flavours)('schemas, Express $version', (flavour) => {
  const { lib } = flavour

  it('check events that are published in code and by POST, and publish them unchanged', async () => {
    const hub = makeHub(lib, { schemas: { 'price.*': price, 'price.note': text } })
    const url = await serve(appWith(flavour, hub))
    await expect(hub.publish('price.usd', { cents: 0 })).rejects.toMatchObject({
      code: 'ERR_SSE_DATA_INVALID',
      status: 422,
      issues: [{ message: 'must be a positive number', path: ['cents'] }],
    })
    expect(await hub.publish('price.usd', { cents: 1, more: true })).toMatchObject({ duplicate: false })
    expect(await hub.publish('price.note', 'text')).toBeDefined()
    expect(await hub.publish('other', { cents: -1 })).toBeDefined()
    const refused = await post(url, '/channels/price.usd', '{"cents":"x"}', { 'idempotency-key': 'k' })
    expect(refused.status).toBe(422)
    expect(JSON.parse(refused.body)).toMatchObject({
      code: 'ERR_SSE_DATA_INVALID',
      detail: 'The data for price.usd is not valid. cents: must be a positive number',
      issues: [{ message: 'must be a positive number', path: ['cents'] }],
    })
    // A refused request does not use up its key.
    const taken = await post(url, '/channels/price.usd', '{ "cents": 12345678901234567890 }', {
      'idempotency-key': 'k',
    })
    expect(taken.status).toBe(201)
    expect(hub.stats().published).toBe(4)
    void expectProblem
  })

  it('may be those of Valibot, with paths into lists, and with a check that is asynchronous', async () => {
    const order = v.objectAsync({
      lines: v.array(v.object({ sku: v.string() })),
      coupon: v.pipeAsync(
        v.string(),
        v.checkAsync(async (coupon) => coupon === 'A1', 'must be a known coupon'),
      ),
    })
    const hub = makeHub(lib, { schemas: { 'order.*': order } })
    const url = await serve(appWith(flavour, hub))
    expect(await hub.publish('order.7', { lines: [{ sku: 'x' }], coupon: 'A1' })).toMatchObject({ duplicate: false })
    await expect(hub.publish('order.7', { lines: [], coupon: 'B2' })).rejects.toMatchObject({
      code: 'ERR_SSE_DATA_INVALID',
      issues: [{ message: 'must be a known coupon', path: ['coupon'] }],
    })
    const refused = await post(url, '/channels/order.7', '{"lines":[{"sku":1}],"coupon":"A1"}')
    expect(refused.status).toBe(422)
    expect(JSON.parse(refused.body).issues).toMatchObject([{ path: ['lines', '0', 'sku'] }])
  })

  it('refuse a batch whole', async () => {
    const hub = makeHub(lib, { schemas: { 'price.*': price } })
    const batch = [1, 0].map((cents) => ({ channel: 'price.usd', data: { cents } }))
    await expect(hub.publishAll(batch)).rejects.toMatchObject({ code: 'ERR_SSE_DATA_INVALID' })
    expect(hub.stats().published).toBe(0)
  })
})

it.each([
  [{ 'a b': price }, /"a b"/],
  [{ a: {} }, /`schemas\["a"\]` must be a Standard Schema, got an object/],
  [{ a: undefined }, /`schemas\["a"\]` must be a Standard Schema, got undefined/],
])('an invalid schema of a channel is named: %j', (schemas, message) => {
  expect(() => new ChannelHub({ schemas: schemas as never })).toThrow(message)
})
