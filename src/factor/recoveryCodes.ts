/** Recovery codes: ten that work once each, for when phone and passkeys are lost. They are stored only as HMAC. */
import { createHmac, randomInt } from "node:crypto";
import type { Services } from "../services.ts";

const CODES = 10;
/** Crockford's base32: no letter that looks like a digit. Each character is 5 bits. */
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/** 60 bits: too many to guess with ten attempts an hour. They are shown in groups of four. */
const CHARACTERS = 12;

/** Ten fresh codes like `7K3M-9QXA-T04W`, with what is stored of them: 32 bytes each. */
export function newRecoveryCodes(
  services: Pick<Services, "keys">,
  user_id: string,
): { codes: string[]; recovery_code_hmacs: Uint8Array[] } {
  const plain = Array.from({ length: CODES }, () =>
    Array.from({ length: CHARACTERS }, () => ALPHABET[randomInt(ALPHABET.length)]).join(""),
  );
  return {
    codes: plain.map((code) => code.replace(/.{4}(?=.)/g, "$&-")),
    recovery_code_hmacs: plain.map((code) => hmacOf(services, user_id, code)),
  };
}

/**
 * What is stored of a code that a client sends, 32 bytes. Letter case, dashes and spaces do not matter, and an O, I or
 * L, which no code has, is taken for the digit that it looks like.
 *
 * @returns undefined for a text that can be no code
 */
export function recoveryCodeHmac(
  services: Pick<Services, "keys">,
  user_id: string,
  text: string,
): Uint8Array | undefined {
  const bare = text.replace(/[-\s]/g, "").toUpperCase();
  const code = bare.replaceAll("O", "0").replace(/[IL]/g, "1");
  const isCode = code.length === CHARACTERS && [...code].every((character) => ALPHABET.includes(character));
  return isCode ? hmacOf(services, user_id, code) : undefined;
}

/** HMAC-SHA256 (RFC 2104). */
function hmacOf({ keys }: Pick<Services, "keys">, user_id: string, code: string): Uint8Array {
  return createHmac("sha256", keys.recoveryCodes).update(`${user_id}\n${code}`).digest();
}
