/**
 * IP addresses as text and as numbers, networks, and the question who is asking (decision P5).
 */

/** An address in groups of 16 bits: two of them for IPv4, eight for IPv6. */
export interface Ip {
  readonly version: 4 | 6;
  readonly words: readonly number[];
}

/** A network: the addresses that share its first `bits` bits. */
export interface Cidr extends Ip {
  /** Length of the prefix, 0 to 32 or 0 to 128. */
  readonly bits: number;
}

const WORD_BITS = 16;
const IPV6_WORDS = 8;
/** IPv6 addresses that start with these groups hold an IPv4 address in the last two (RFC 4291 section 2.5.5.2). */
const MAPPED_PREFIX = [0, 0, 0, 0, 0, 0xffff];
const MAPPED_PREFIX_BITS = MAPPED_PREFIX.length * WORD_BITS;

/** What a client owns of an IPv6 network: a household gets at least a /64 (decision P5). */
const IPV6_CLIENT_BITS = 64;
/** What one site owns. The breaker needs a net wider than a client, which already is the /64. */
const IPV6_BREAKER_BITS = 48;

/** Proxies that are believed unless the operator says otherwise: this machine and private networks. */
export const DEFAULT_TRUSTED_PROXIES = "127.0.0.0/8, ::1, 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, fc00::/7";

/**
 * Reads a bare IPv4 or IPv6 address. An IPv4-mapped one (`::ffff:192.0.2.1`) comes out as IPv4.
 *
 * @returns undefined for anything else: a port, brackets, a zone id (`fe80::1%eth0`), leading zeros in IPv4
 */
export function parseIp(text: string): Ip | undefined {
  if (!text.includes(":")) {
    const words = parseIpv4Words(text);
    return words && { version: 4, words };
  }
  const words = parseIpv6Words(text);
  if (!words) return undefined;
  const isMapped = words[0] === 0 && MAPPED_PREFIX.every((word, index) => words[index] === word);
  return isMapped ? { version: 4, words: words.slice(MAPPED_PREFIX.length) } : { version: 6, words };
}

/** Writes an address in its canonical form (RFC 5952). */
export function formatIp({ version, words }: Ip): string {
  if (version === 4) return words.map((word) => `${word >> 8}.${word & 0xff}`).join(".");
  const gap = longestZeroRun(words);
  const hex = (part: readonly number[]) => part.map((word) => word.toString(16)).join(":");
  if (gap.length < 2) return hex(words);
  return `${hex(words.slice(0, gap.start))}::${hex(words.slice(gap.start + gap.length))}`;
}

/**
 * Reads a comma-separated list of addresses and networks (`127.0.0.1, 10.0.0.0/8, fd00::/8`). Empty items are skipped,
 * bits after the prefix are dropped, and an IPv4-mapped network comes out as IPv4.
 *
 * @throws Error naming the item that is neither an address nor a network
 */
export function parseCidrList(text: string): Cidr[] {
  return text
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "")
    .map(parseCidr);
}

/** @throws Error */
function parseCidr(item: string): Cidr {
  const [, address = "", bitsText] = /^([^/]*)(?:\/([0-9]{1,3}))?$/.exec(item) ?? [];
  const ip = parseIp(address);
  const wasMapped = ip?.version === 4 && address.includes(":");
  const bitsMax = ip?.version === 6 || wasMapped ? 128 : 32;
  const written = bitsText === undefined ? bitsMax : Number(bitsText);
  // A mapped network shorter than /96 holds more than IPv4, and no unwrapped address could ever match it.
  const isValid = ip && written <= bitsMax && !(wasMapped && written < MAPPED_PREFIX_BITS);
  if (!isValid) {
    throw new Error(
      `"${item}" is neither an IP address nor a network; write them like 192.0.2.1, 10.0.0.0/8 or fd00::/8.`,
    );
  }
  const bits = wasMapped ? written - MAPPED_PREFIX_BITS : written;
  return { version: ip.version, words: ip.words.map((word, index) => word & wordMask(bits, index)), bits };
}

/** Whether an address lies in one of the networks. */
export function isInNetworks(ip: Ip, networks: readonly Cidr[]): boolean {
  return networks.some(
    (network) =>
      network.version === ip.version &&
      network.words.every((word, index) => word === ((ip.words[index] ?? 0) & wordMask(network.bits, index))),
  );
}

/**
 * The address of the client (decision P5): the peer's, or, when the peer is a trusted proxy, the right-most element of
 * X-Forwarded-For that is not trusted itself. When all are trusted it is the left-most: a client inside the private
 * network. When an element on the way is no address, nobody can be believed and the peer's address counts.
 *
 * @param peer the address of the other end of the connection; undefined on a unix socket
 * @param xForwardedFor the header, several lines of it joined by commas
 * @returns canonical text, IPv4-mapped addresses unwrapped; undefined when the peer has no address
 */
export function clientAddress(
  peer: string | undefined,
  xForwardedFor: string | null,
  trustedProxies: readonly Cidr[],
): string | undefined {
  if (peer === undefined || peer === "") return undefined;
  const peerIp = parseIp(peer);
  if (!peerIp) return peer; // the system's own text, like one with a zone id: still a name to count under
  const peerText = formatIp(peerIp);
  if (xForwardedFor === null || !isInNetworks(peerIp, trustedProxies)) return peerText;

  let farthest = peerIp;
  let end = xForwardedFor.length;
  while (end >= 0) {
    const comma = end === 0 ? -1 : xForwardedFor.lastIndexOf(",", end - 1);
    const element = parseIp(xForwardedFor.slice(comma + 1, end).trim());
    if (!element) return peerText;
    farthest = element;
    if (!isInNetworks(element, trustedProxies)) break;
    end = comma;
  }
  return formatIp(farthest);
}

/**
 * The key under which one client is counted: the whole IPv4 address, the /64 of an IPv6 address. A text that is no
 * address is its own key, so that nobody escapes being counted.
 */
export function clientNetwork(address: string): string {
  if (!address.includes(":")) return address;
  const ip = parseIp(address);
  if (!ip) return address;
  return ip.version === 4 ? formatIp(ip) : ipv6Network(ip, IPV6_CLIENT_BITS);
}

/**
 * The key under which a subnet is counted, and what a log may say of an address: the /24 of an IPv4 address, the /48
 * of an IPv6 address.
 */
export function breakerNetwork(address: string): string {
  if (!address.includes(":")) return ipv4Network(address);
  const ip = parseIp(address);
  if (!ip) return address;
  return ip.version === 4 ? ipv4Network(formatIp(ip)) : ipv6Network(ip, IPV6_BREAKER_BITS);
}

/**
 * The keys of an address's client and subnet for tables in memory: equal exactly when `clientNetwork` and
 * `breakerNetwork` are, but quicker to make and to look up. An IPv6 prefix is one character per group.
 */
export function networkKeys(address: string): { client: string; subnet: string } {
  if (!address.includes(":")) return { client: address, subnet: ipv4Network(address) };
  const ip = parseIp(address);
  if (!ip) return { client: address, subnet: address };
  const { version, words } = ip;
  if (version === 4) return networkKeys(formatIp(ip));
  const [a = 0, b = 0, c = 0, d = 0] = words;
  return { client: String.fromCharCode(a, b, c, d), subnet: String.fromCharCode(a, b, c) };
}

function ipv4Network(address: string): string {
  return `${address.slice(0, address.lastIndexOf(".") + 1)}0/24`;
}

/** @param bits a multiple of 16 */
function ipv6Network({ words }: Ip, bits: number): string {
  let text = "";
  for (let index = 0; index < bits / WORD_BITS; index++) text += `${(words[index] ?? 0).toString(16)}:`;
  return `${text}:/${bits}`;
}

/** The bits of the group at `index` that belong to a prefix of `bits` bits. */
function wordMask(bits: number, index: number): number {
  const inWord = Math.min(Math.max(bits - index * WORD_BITS, 0), WORD_BITS);
  return (0xffff << (WORD_BITS - inWord)) & 0xffff;
}

// The parsers go by character codes: they run several times per request, and a regular expression takes ten times as long.
const DOT = 0x2e;
const COLON = 0x3a;
const ZERO = 0x30;

/** Four decimal numbers up to 255, without leading zeros: some systems read those as octal. */
function parseIpv4Words(text: string, start = 0): number[] | undefined {
  const bytes: number[] = [];
  let position = start;
  for (;;) {
    const first = position;
    let value = 0;
    for (let digit = decimalDigit(text, position); digit >= 0; digit = decimalDigit(text, position)) {
      value = value * 10 + digit;
      position++;
      if (value > 255) return undefined;
    }
    const length = position - first;
    if (length === 0 || (length > 1 && text.charCodeAt(first) === ZERO)) return undefined;
    bytes.push(value);
    if (bytes.length === 4) break;
    if (text.charCodeAt(position) !== DOT) return undefined;
    position++;
  }
  if (position !== text.length) return undefined;
  const [a = 0, b = 0, c = 0, d = 0] = bytes;
  return [(a << 8) | b, (c << 8) | d];
}

/** Groups of hexadecimal digits, of which "::" once leaves out zeros, and the last two may stand in IPv4 form. */
function parseIpv6Words(text: string): number[] | undefined {
  const words: number[] = [];
  let gapAt = text.startsWith("::") ? 0 : -1;
  let position = gapAt === 0 ? 2 : 0;
  while (position < text.length) {
    const first = position;
    let value = 0;
    for (let digit = hexDigit(text, position); digit >= 0; digit = hexDigit(text, position)) {
      value = value * 16 + digit;
      position++;
    }
    if (text.charCodeAt(position) === DOT) {
      const ipv4 = parseIpv4Words(text, first);
      if (!ipv4) return undefined;
      words.push(...ipv4);
      break;
    }
    const length = position - first;
    if (length === 0 || length > 4) return undefined;
    words.push(value);
    if (position === text.length) break;
    if (text.charCodeAt(position) !== COLON) return undefined;
    position++;
    if (text.charCodeAt(position) === COLON) {
      if (gapAt !== -1) return undefined;
      gapAt = words.length;
      position++;
    } else if (position === text.length) return undefined;
  }
  if (gapAt === -1) return words.length === IPV6_WORDS ? words : undefined;
  if (words.length >= IPV6_WORDS) return undefined;
  const afterGap = words.length - gapAt;
  const full = [0, 0, 0, 0, 0, 0, 0, 0];
  for (let index = 0; index < gapAt; index++) full[index] = words[index] ?? 0;
  for (let index = 1; index <= afterGap; index++) full[IPV6_WORDS - index] = words[words.length - index] ?? 0;
  return full;
}

/** @returns -1 when there is no decimal digit at `position` */
function decimalDigit(text: string, position: number): number {
  const digit = text.charCodeAt(position) - ZERO;
  return digit >= 0 && digit <= 9 ? digit : -1;
}

/** @returns -1 when there is no hexadecimal digit at `position` */
function hexDigit(text: string, position: number): number {
  const decimal = decimalDigit(text, position);
  if (decimal >= 0) return decimal;
  const letter = (text.charCodeAt(position) | 0x20) - 0x61;
  return letter >= 0 && letter <= 5 ? letter + 10 : -1;
}

/** The first of the longest runs of zero groups. */
function longestZeroRun(words: readonly number[]): { start: number; length: number } {
  let longest = { start: 0, length: 0 };
  let start = 0;
  for (const [index, word] of words.entries()) {
    if (word !== 0) start = index + 1;
    else if (index + 1 - start > longest.length) longest = { start, length: index + 1 - start };
  }
  return longest;
}
