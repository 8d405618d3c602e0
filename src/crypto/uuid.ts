/** UUIDs (RFC 9562) between their canonical text and their 16 bytes. */

/** @param text canonical; @returns its 16 bytes */
export function uuidBytes(text: string): Uint8Array {
  return Buffer.from(text.replaceAll("-", ""), "hex");
}

/** @param bytes exactly 16 */
export function parseUuidBytes(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes).toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
