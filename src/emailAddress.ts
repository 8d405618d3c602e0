import { ApiError } from "./errors.ts";

/** Longest address that the tables hold, in characters (decision W8). */
const CHARACTERS_MAX = 255;

/** The form in which addresses are stored and looked up: ASCII letters in lower case, nothing trimmed (W10). */
export function lowerCased(address: string): string {
  return address.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

/**
 * The form in which any text that a client calls an address is looked up. The database cannot hold a zero byte, so no
 * account has such an address.
 */
export function lookupForm(anyText: string): string {
  return lowerCased(anyText).replaceAll("\0", "\u{fffd}");
}

/** How routes describe the parameter below. */
export const EMAIL_QUERY = { email: { description: "An e-mail address, in any case.", isRequired: true } } as const;

/** The query parameter `email`, any text. @throws ApiError PREHANDLER when it is missing or repeated */
export function requireEmailParameter(query: URLSearchParams): string {
  const [email, ...more] = query.getAll("email");
  if (email !== undefined && more.length === 0) return email;
  throw new ApiError("PREHANDLER", "The query needs the parameter email, once.");
}

/**
 * Checks an address by the rules of accounts.md 4.1, which an account of the reference may have been made with.
 *
 * @param field name of the field, for the message
 * @returns the address in lower case
 * @throws ApiError INCORRECTLY_FORMED
 */
export function requireAddress(field: string, address: string): string {
  const [local = "", domain = "", ...more] = address.split("@");
  const isWellFormed =
    address.length <= CHARACTERS_MAX &&
    [...address].every((character) => character > "\0" && character <= "\x7f" && character !== " ") &&
    !address.includes("@.") &&
    more.length === 0 &&
    local !== "" &&
    domain.length >= 3 &&
    domain.includes(".") &&
    !domain.endsWith(".");
  if (!isWellFormed) throw new ApiError("INCORRECTLY_FORMED", `${field} is not an e-mail address.`);
  return lowerCased(address);
}

/**
 * Checks an address that is to be stored: as above, and without control characters, quotes and angle brackets (W10).
 *
 * @returns the address in lower case
 * @throws ApiError INCORRECTLY_FORMED
 */
export function requireNewAddress(field: string, address: string): string {
  if (/[\p{Control}"<>]/u.test(address)) {
    throw new ApiError("INCORRECTLY_FORMED", `${field} holds a character that is not allowed in an e-mail address.`);
  }
  return requireAddress(field, address);
}
