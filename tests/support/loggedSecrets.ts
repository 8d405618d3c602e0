/**
 * P9: what no line of a log may hold. Every log that the tests cause, of servers in this process and of real ones, is
 * looked through while they run; the run fails in the end if a line held anything of the sort.
 */

/** Fields of a line whose value is a UUID of the server's own making. A failed deletion names its user (platform.md 1.5). */
const ID_FIELDS = new Set(["request_id", "user_id", "mail_id"]);
/** These hold texts of programs: paths, and functions with their lines. */
const PROGRAM_FIELDS = new Set(["stack", "directory", "path", "reason", "database", "url", "message"]);

const EMAIL = /[^\s"'<>@]+@[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z]{2,}/i;
const UUID = /[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}/i;
/** Tokens, keys and blobs, in base64, base64url or hex. */
const ENCODED = /[A-Za-z0-9+/_-]{32,}={0,2}/;
/** The same where paths may stand, in which a slash is nothing of base64. */
const ENCODED_IN_TEXT = /[A-Za-z0-9+_-]{40,}={0,2}/;
const PASSCODE = /(?<![\d.])\d{4} ?\d{4}(?![\d.])/;
/** A file of the outbox: when, and eight random digits. */
const MAIL_FILE = /\/\d{8}T\d{6}\.\d{6}Z-[0-9a-f]{8}\.eml$/;
const ROUTE = /^(?:\/|(?:\/[a-z.-]+)+|unknown)$/;
const QUERY = /\/[\w/-]+\?[\w-]+=/;

/** What a line of JSON holds that it must not, each with the name of its field. Other text is looked at as a whole. */
export function secretsIn(line: string): string[] {
  return fieldsOf(line).flatMap(([name, value]) => {
    const text = (typeof value === "string" ? value : JSON.stringify(value)).replace(MAIL_FILE, "");
    return kindsOf(name, text).map((kind) => `${kind} in ${name}`);
  });
}

function fieldsOf(line: string): [name: string, value: unknown][] {
  if (!line.startsWith("{")) return [["message", line]];
  const { time: _, ...fields } = JSON.parse(line) as Record<string, unknown>;
  return Object.entries(fields);
}

function kindsOf(name: string, text: string): string[] {
  if (ID_FIELDS.has(name)) return new RegExp(`^${UUID.source}$`, "i").test(text) ? [] : ["no id"];
  if (name === "route") return ROUTE.test(text) ? [] : ["no pattern of a route"];
  const encoded = PROGRAM_FIELDS.has(name) ? ENCODED_IN_TEXT : ENCODED;
  const patterns = { "e-mail address": EMAIL, UUID: UUID, "encoded bytes": encoded, passcode: PASSCODE, query: QUERY };
  return Object.entries(patterns)
    .filter(([, pattern]) => pattern.test(text))
    .map(([kind]) => kind);
}

const found: string[] = [];

/** Looks through what a log has written: whole lines. */
export function lookThrough(text: string): void {
  for (const line of text.split("\n")) {
    const kinds = line === "" ? [] : secretsIn(line);
    if (kinds.length > 0) found.push(`${kinds.join(", ")}: ${line}`);
  }
}

/** @throws Error with every line of the run's logs that held what it must not */
export function requireNoSecretsLogged(): void {
  if (found.length > 0) throw new Error(`P9: logs held what they must not:\n${found.join("\n")}`);
}
