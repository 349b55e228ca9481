import { isIPv6 } from 'node:net'

/**
 * Whose request it is, for limits: `req.ip`, which honours `trust proxy`, or the peer outside of Express. An IPv6
 * address counts by its /64, which is what one customer has.
 */
export function addressOf(req: {
  readonly socket: { readonly remoteAddress?: string | undefined }
}): string | undefined {
  const ip = (req as { ip?: string | undefined }).ip ?? req.socket.remoteAddress
  if (ip === undefined) return undefined
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(ip)
  if (mapped !== null) return mapped[1]
  return isIPv6(ip) ? network(ip) : ip
}

function network(ip: string): string {
  const [head = '', tail] = ip.split('%')[0]!.toLowerCase().split('::')
  const groups = head === '' ? [] : head.split(':')
  if (tail !== undefined) {
    const rest = tail === '' ? [] : tail.split(':')
    while (groups.length + rest.length < 8) groups.push('0')
    groups.push(...rest)
  }
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`
}
