import { describe, expect, test } from "bun:test";
import { isIP } from "node:net";
import fc from "fast-check";
import {
  breakerNetwork,
  clientAddress,
  clientNetwork,
  DEFAULT_TRUSTED_PROXIES,
  formatIp,
  isInNetworks,
  parseCidrList,
  parseIp,
} from "../../src/http/address.ts";

const trusted = parseCidrList(DEFAULT_TRUSTED_PROXIES);

/** What the text means, in canonical form; undefined when it is no address. */
function canonical(text: string): string | undefined {
  const ip = parseIp(text);
  return ip && formatIp(ip);
}

function isIn(address: string, networks: string): boolean {
  const ip = parseIp(address);
  if (!ip) throw new Error(`${address} is no address`);
  return isInNetworks(ip, parseCidrList(networks));
}

describe("addresses", () => {
  test.each([
    ["192.0.2.1", "192.0.2.1"],
    ["255.255.255.255", "255.255.255.255"],
    ["2001:DB8:0:0:0:0:0:1", "2001:db8::1"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["::", "::"],
    ["::1", "::1"],
    ["1::", "1::"],
    ["64:ff9b::192.0.2.1", "64:ff9b::c000:201"],
  ])("RFC 5952: %s is written %s", (text, expected) => {
    expect(canonical(text)).toBe(expected);
  });

  test.each(["::ffff:192.0.2.1", "::FFFF:c000:201", "0:0:0:0:0:ffff:192.0.2.1"])(
    "P5: the IPv4-mapped address %s is unwrapped",
    (text) => expect(canonical(text)).toBe("192.0.2.1"),
  );

  test.each([
    "",
    " ",
    "192.0.2",
    "192.0.2.1.1",
    "192.0.2.256",
    "192.0.2.01",
    "192.0.2.1:80",
    "192.0.2.1 ",
    "0x7f.0.0.1",
    "fe80::1%eth0",
    "::1%1",
    "[::1]",
    ":",
    ":::",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1::2::3",
    "12345::",
    "g::",
    "1:2:3:4::5:6:7:8",
    ":1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:",
    "::192.0.2.1:1",
    "192.0.2.1::",
    "::ffff:192.0.2",
    "unknown",
  ])("P5: %p is no address", (text) => expect(parseIp(text)).toBeUndefined());

  test("P5: every text is read as the runtime reads it, zone ids aside", () => {
    const piece = fc.constantFrom("0", "1", "ff", "ffff", "255", "256", "01", ":", "::", ".", "192.0.2.1", "g", "");
    const text = fc.oneof(
      fc.ipV4(),
      fc.ipV6(),
      fc.array(piece, { maxLength: 16 }).map((pieces) => pieces.join("")),
    );
    fc.assert(
      fc.property(text, (address) => {
        expect(parseIp(address) !== undefined).toBe(isIP(address) !== 0);
      }),
      { numRuns: 5000 },
    );
  });

  test("P5: what is written reads back as the same address", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(0, 0, 1, 0xffff), { minLength: 8, maxLength: 8 }), (words) => {
        const plain = words.map((word) => word.toString(16)).join(":");
        const ip = parseIp(plain);
        if (!ip) throw new Error("a full address must be read");
        expect(parseIp(formatIp(ip))).toEqual(ip);
        expect(isIP(formatIp(ip))).toBe(ip.version);
      }),
      { numRuns: 2000 },
    );
  });
});

describe("networks", () => {
  test("P5: the list takes addresses, networks, spaces and empty items", () => {
    expect(parseCidrList(" 192.0.2.1 ,, 10.1.2.3/8,fd00::/8, ")).toEqual([
      { version: 4, words: [0xc000, 0x0201], bits: 32 },
      { version: 4, words: [0x0a00, 0], bits: 8 },
      { version: 6, words: [0xfd00, 0, 0, 0, 0, 0, 0, 0], bits: 8 },
    ]);
    expect(parseCidrList("")).toEqual([]);
  });

  test.each(["10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8/8", "localhost", "::ffff:0:0/95"])(
    "P5: the item %s is refused by name",
    (item) => {
      expect(() => parseCidrList(`127.0.0.1, ${item}`)).toThrow(`"${item}" is neither an IP address nor a network`);
    },
  );

  test.each([
    ["10.255.255.255", "10.0.0.0/8", true],
    ["11.0.0.0", "10.0.0.0/8", false],
    ["172.31.255.255", "172.16.0.0/12", true],
    ["172.32.0.0", "172.16.0.0/12", false],
    ["192.0.2.1", "0.0.0.0/0", true],
    ["192.0.2.1", "::/0", false],
    ["fdff::1", "fc00::/7", true],
    ["fe00::1", "fc00::/7", false],
    ["2001:db8::1", "2001:db8::1", true],
    ["2001:db8::2", "2001:db8::1", false],
    ["::ffff:10.0.0.1", "10.0.0.0/8", true],
    ["10.0.0.1", "::ffff:10.0.0.0/104", true],
    ["11.0.0.1", "::ffff:10.0.0.0/104", false],
  ])("P5: %s in %s: %p", (address, networks, expected) => expect(isIn(address, networks)).toBe(expected));

  test("P5: a network holds exactly the addresses that share its prefix, bit by bit", () => {
    const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
    const dotted = (value: number) => [24, 16, 8, 0].map((shift) => (value >>> shift) & 0xff).join(".");
    fc.assert(
      fc.property(u32, fc.integer({ min: 0, max: 32 }), fc.integer({ min: 0, max: 31 }), (network, bits, flipped) => {
        const other = (network ^ (1 << (31 - flipped))) >>> 0;
        expect(isIn(dotted(other), `${dotted(network)}/${bits}`)).toBe(flipped >= bits);
      }),
      { numRuns: 2000 },
    );
  });
});

describe("the client's address", () => {
  test.each([
    ["the peer without the header", "192.0.2.1", null, "192.0.2.1"],
    ["the peer when it is not trusted, whatever it says", "192.0.2.1", "198.51.100.7", "192.0.2.1"],
    ["the right-most element that is not trusted", "127.0.0.1", "203.0.113.9, 198.51.100.7, 10.0.0.2", "198.51.100.7"],
    [
      "the same over several header lines, joined by commas",
      "::1",
      "203.0.113.9,198.51.100.7,10.0.0.2",
      "198.51.100.7",
    ],
    ["of a mapped peer, unwrapped", "::ffff:127.0.0.1", "198.51.100.7", "198.51.100.7"],
    ["of a mapped element, unwrapped", "127.0.0.1", "::ffff:198.51.100.7", "198.51.100.7"],
    ["the left-most element when all are trusted", "127.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"],
    ["the peer when an element is no address", "10.0.0.1", "198.51.100.7, unknown", "10.0.0.1"],
    ["the peer when a proxy adds a port", "10.0.0.1", "198.51.100.7:4711", "10.0.0.1"],
    ["the peer when an element is empty", "10.0.0.1", "198.51.100.7,", "10.0.0.1"],
    ["the peer when the header is empty", "10.0.0.1", "", "10.0.0.1"],
    ["the peer when a trusted element follows nothing", "10.0.0.1", ",10.0.0.2", "10.0.0.1"],
    ["found before what a client made up", "10.0.0.1", "garbage, 198.51.100.7", "198.51.100.7"],
    ["written in canonical form", "10.0.0.1", "2001:DB8:0::1", "2001:db8::1"],
  ])("P5: it is %s", (_what, peer, header, expected) => {
    expect(clientAddress(peer, header, trusted)).toBe(expected);
  });

  test("P5: a unix socket has no address, and its header proves nothing", () => {
    expect(clientAddress(undefined, "198.51.100.7", trusted)).toBeUndefined();
    expect(clientAddress("", null, trusted)).toBeUndefined();
  });

  test("P5: without trusted proxies the peer counts", () => {
    expect(clientAddress("127.0.0.1", "198.51.100.7", [])).toBe("127.0.0.1");
  });

  test("P5: whatever a client writes to the left of its own address changes nothing", () => {
    fc.assert(
      fc.property(fc.string(), (forged) => {
        expect(clientAddress("127.0.0.1", `${forged},198.51.100.7`, trusted)).toBe("198.51.100.7");
      }),
    );
  });
});

describe("keys of the limiters", () => {
  test.each([
    ["203.0.113.9", "203.0.113.9", "203.0.113.0/24"],
    ["::ffff:203.0.113.9", "203.0.113.9", "203.0.113.0/24"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", "2001:db8:1::/48"],
    ["2001:db8::1", "2001:db8:0:0::/64", "2001:db8:0::/48"],
    ["fe80::1%eth0", "fe80::1%eth0", "fe80::1%eth0"],
  ])("P5: %s is the client %s of the subnet %s", (address, client, subnet) => {
    expect(clientNetwork(address)).toBe(client);
    expect(breakerNetwork(address)).toBe(subnet);
  });

  test("P5: two IPv6 addresses are one client exactly when their first 64 bits are equal, one subnet with 48", () => {
    const word = fc.constantFrom(0, 1, 0x2001);
    fc.assert(
      fc.property(fc.array(word, { minLength: 8, maxLength: 8 }), fc.integer({ min: 0, max: 7 }), (words, index) => {
        const text = (list: readonly number[]) => list.map((value) => value.toString(16)).join(":");
        const one = text(words);
        const other = text(words.map((value, at) => (at === index ? value + 2 : value)));
        fc.pre(parseIp(one)?.version === 6 && parseIp(other)?.version === 6);
        expect(clientNetwork(one) === clientNetwork(other)).toBe(index >= 4);
        expect(breakerNetwork(one) === breakerNetwork(other)).toBe(index >= 3);
      }),
    );
  });
});
