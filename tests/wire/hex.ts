/** Bytes written as hex digits, with blanks between the fields for the reader. */
export function hexBytes(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.fromHex(text.replaceAll(" ", ""));
}
