/**
 * The claims of a token: a JSON object whose members are read one by one from the exact bytes that were signed.
 * `JSON.parse` alone would take the last of two equal names, `1.8e9` for an integer, and round beyond 2^53.
 */

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const UINT64_MAX = 2n ** 64n - 1n;

/** The members of a claims object: name to the JSON text of its value. */
export type Claims = ReadonlyMap<string, string>;

/**
 * @returns undefined when the bytes are not UTF-8, not JSON, not an object, or name a member twice. A JSON array is
 * refused too (decision W18).
 */
export function parseClaims(bytes: Uint8Array): Claims | undefined {
  try {
    const text = UTF8.decode(bytes);
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
    return topLevelMembers(text);
  } catch {
    return undefined;
  }
}

/** Splits the text of a valid JSON object into its members; undefined when a name comes twice. */
function topLevelMembers(text: string): Claims | undefined {
  const members = new Map<string, string>();
  let depth = 0;
  let start = 0;
  let name: string | undefined;

  function endMember(end: number): boolean {
    if (name === undefined) return true; // an empty object
    if (members.has(name)) return false;
    members.set(name, text.slice(start, end).trim());
    name = undefined;
    return true;
  }

  for (let index = 0; index < text.length; index++) {
    const char = text[index];
    if (char === '"') {
      const end = endOfString(text, index);
      if (depth === 1 && name === undefined) name = JSON.parse(text.slice(index, end + 1));
      index = end;
    } else if (char === "{" || char === "[") {
      depth++;
    } else if (char === "}" || char === "]") {
      depth--;
      if (depth === 0 && !endMember(index)) return undefined;
    } else if (char === ":" && depth === 1) {
      start = index + 1;
    } else if (char === "," && depth === 1) {
      if (!endMember(index)) return undefined;
    }
  }
  return members;
}

function endOfString(text: string, start: number): number {
  let index = start + 1;
  while (text[index] !== '"') index += text[index] === "\\" ? 2 : 1;
  return index;
}

/** A string member; undefined when absent or of another type. */
export function stringClaim(claims: Claims, name: string): string | undefined {
  const text = claims.get(name);
  return text?.startsWith('"') ? String(JSON.parse(text)) : undefined;
}

/** An integer from 0 to 2^64-1 without sign, fraction or exponent; undefined when absent or anything else. */
export function uint64Claim(claims: Claims, name: string): bigint | undefined {
  const text = claims.get(name);
  if (text === undefined || !/^\d{1,20}$/.test(text)) return undefined;
  const value = BigInt(text);
  return value <= UINT64_MAX ? value : undefined;
}

/**
 * A UUID in one of the forms that clients write: hyphenated in any case, 32 hex digits, in braces, or as `urn:uuid:`.
 *
 * @returns the canonical lower-case form; undefined when absent or anything else
 */
export function uuidClaim(claims: Claims, name: string): string | undefined {
  const text = stringClaim(claims, name);
  if (text === undefined) return undefined;
  const hyphenated = /^(?:urn:uuid:)?([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$/i.exec(text);
  const braced = /^\{([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\}$/i.exec(text);
  const canonical = hyphenated?.[1] ?? braced?.[1];
  if (canonical) return canonical.toLowerCase();
  if (!/^[0-9a-f]{32}$/i.test(text)) return undefined;
  return text.toLowerCase().replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
