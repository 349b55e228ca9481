import { expect, it } from 'vitest'
import { addressOf } from '../../src/express/address.ts'

const of = (remoteAddress: string | undefined, ip?: string) => addressOf({ socket: { remoteAddress }, ip } as never)

it.each([
  ['1.2.3.4', '1.2.3.4'],
  ['::ffff:1.2.3.4', '1.2.3.4'],
  ['::FFFF:102:304', '1.2.3.4'],
  ['0:0:0:0:0:ffff:1.2.3.4', '1.2.3.4'],
  ['1.2.3.4:1000', '1.2.3.4'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8:1:2::', '2001:db8:1:2::/64'],
  ['2001:db8::1', '2001:db8:0:0::/64'],
  ['[2001:db8::1]', '2001:db8:0:0::/64'],
  ['[2001:db8::1]:1000', '2001:db8:0:0::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ['::1', '0:0:0:0::/64'],
  ['unknown', 'unknown'],
  ['unknown:1', 'unknown:1'],
  [undefined, ''],
])('%s counts for %s', (given, address) => {
  expect(of(given)).toBe(address)
})

it('req.ip, which honours `trust proxy`, comes before the peer', () => {
  expect(of('127.0.0.1', '9.9.9.9:5')).toBe('9.9.9.9')
})
