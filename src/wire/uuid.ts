/** Both ways between the 16 bytes of a UUID and its canonical lower-case text. Tables, because lists hold thousands. */
export const UUID_BYTES = 16;
const UUID_TEXT_LENGTH = 36;

const HEX_PAIRS: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** The digit's value by character code; NOT_A_DIGIT elsewhere. */
const NOT_A_DIGIT = 0x100;
const DIGIT_VALUES = new Uint16Array(128).fill(NOT_A_DIGIT);
for (let value = 0; value < 16; value++) {
  DIGIT_VALUES[value.toString(16).charCodeAt(0)] = value;
  DIGIT_VALUES[value.toString(16).toUpperCase().charCodeAt(0)] = value;
}

/** The canonical text of the 16 bytes at `at`. The caller has checked that they are there. */
export function uuidText(bytes: Uint8Array, at: number): string {
  const first = hex(bytes, at) + hex(bytes, at + 1) + hex(bytes, at + 2) + hex(bytes, at + 3);
  const second = hex(bytes, at + 4) + hex(bytes, at + 5);
  const third = hex(bytes, at + 6) + hex(bytes, at + 7);
  const fourth = hex(bytes, at + 8) + hex(bytes, at + 9);
  const fifth = hex(bytes, at + 10) + hex(bytes, at + 11) + hex(bytes, at + 12);
  return `${first}-${second}-${third}-${fourth}-${fifth}${hex(bytes, at + 13)}${hex(bytes, at + 14)}${hex(bytes, at + 15)}`;
}

function hex(bytes: Uint8Array, at: number): string {
  return HEX_PAIRS[bytes[at] ?? 0] ?? "";
}

/**
 * Writes the 16 bytes of a UUID text (any case) to `target` at `offset`.
 * @returns false when the text is no UUID; `target` may then hold part of it
 */
export function writeUuidBytes(text: string, target: Uint8Array, offset: number): boolean {
  if (text.length !== UUID_TEXT_LENGTH) return false;
  let position = 0;
  for (let index = 0; index < UUID_BYTES; index++) {
    if (index === 4 || index === 6 || index === 8 || index === 10) {
      if (text.charCodeAt(position++) !== 0x2d) return false;
    }
    const high = DIGIT_VALUES[text.charCodeAt(position++)] ?? NOT_A_DIGIT;
    const low = DIGIT_VALUES[text.charCodeAt(position++)] ?? NOT_A_DIGIT;
    if (high === NOT_A_DIGIT || low === NOT_A_DIGIT) return false;
    target[offset + index] = (high << 4) | low;
  }
  return true;
}
