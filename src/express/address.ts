import { isIPv4, isIPv6 } from 'node:net'

/**
 * The address that counts for the limits of a request: `req.ip`, which respects `trust proxy`, or the peer outside
 * Express. An IPv6 address counts by its /64, which is the range of one customer. An IPv4 address is the same in each
 * of its forms, and a port that a proxy has added does not count. A Unix socket has no addresses: all its streams count
 * for ''.
 */
export function addressOf(req: { readonly socket: { readonly remoteAddress?: string | undefined } }): string {
  const given = (req as { ip?: string | undefined }).ip ?? req.socket.remoteAddress ?? ''
  const ip = withoutPort(given)
  if (!isIPv6(ip)) return ip
  const groups = groupsOf(ip)
  const isMapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff
  if (isMapped) return [groups[6]! >> 8, groups[6]! & 255, groups[7]! >> 8, groups[7]! & 255].join('.')
  return `${groups
    .slice(0, 4)
    .map((group) => group.toString(16))
    .join(':')}::/64`
}

/** `1.2.3.4:1000` and `[2001:db8::1]:1000`, as some proxies write them. */
function withoutPort(address: string): string {
  const bracketed = /^\[(.*)\](?::\d+)?$/.exec(address)
  if (bracketed !== null) return bracketed[1]!
  const [ip = ''] = address.split(':', 1)
  return /^[^:]*:\d+$/.test(address) && isIPv4(ip) ? ip : address
}

/** The eight groups of an IPv6 address. */
function groupsOf(ip: string): number[] {
  const [text = ''] = ip.split('%', 1)
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text)
  const hex = (high: string, low: string) => ((Number(high) << 8) | Number(low)).toString(16)
  const plain = dotted === null ? text : `${dotted[1]}${hex(dotted[2]!, dotted[3]!)}:${hex(dotted[4]!, dotted[5]!)}`
  const [head = '', tail] = plain.split('::')
  const groups = head === '' ? [] : head.split(':')
  const rest = tail === undefined || tail === '' ? [] : tail.split(':')
  while (groups.length + rest.length < 8) groups.push('0')
  return [...groups, ...rest].map((group) => Number.parseInt(group, 16))
}
