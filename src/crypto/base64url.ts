/**
 * Base64 with the URL-safe alphabet and mandatory padding (RFC 4648 section 5), as tokens use it. `Buffer` alone would
 * accept missing padding, both alphabets, junk and non-zero trailing bits.
 */

const SHAPE = /^(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-]{2}==|[A-Za-z0-9_-]{3}=)?$/;

/** @returns undefined when the text is not canonical: wrong alphabet, padding missing or superfluous, stray bits */
export function decodeBase64Url(text: string): Buffer | undefined {
  if (!SHAPE.test(text)) return undefined;
  const bytes = Buffer.from(text, "base64url");
  return encodeBase64Url(bytes) === text ? bytes : undefined;
}

/** With padding. */
export function encodeBase64Url(bytes: Uint8Array): string {
  const unpadded = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64url");
  return unpadded.padEnd(Math.ceil(unpadded.length / 4) * 4, "=");
}
