const LINE_OR_BLANK = /\s/;
const URL_SAFE = /[-_]/;

/**
 * Reads base64 in the standard or the URL-safe alphabet, padded or not. Stricter than the runtime: no white space,
 * no mix of alphabets, no bits left over, so that two texts are the same bytes only if they differ in form.
 * @returns undefined when the text is something else
 */
export function parseBase64(text: string): Uint8Array | undefined {
  if (LINE_OR_BLANK.test(text)) return undefined;
  const padded = text.includes("=") ? text : text + "=".repeat((4 - (text.length % 4)) % 4);
  try {
    return Uint8Array.fromBase64(padded, {
      alphabet: URL_SAFE.test(text) ? "base64url" : "base64",
      lastChunkHandling: "strict",
    });
  } catch {
    return undefined;
  }
}

/** Standard alphabet with padding. */
export function formatBase64(bytes: Uint8Array): string {
  return bytes.toBase64();
}
