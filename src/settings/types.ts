/**
 * The types that a setting can have. A type reads the text of an environment variable and knows the words for what it
 * expects, so that a wrong value and the sample file are explained with the same sentence.
 */
import { isIP } from "node:net";
import { type Cidr, parseCidrList } from "../http/address.ts";
import { isSemanticVersion } from "../http/appVersion.ts";
import { LOG_LEVELS, type LogLevel } from "../log.ts";

export interface SettingType<T> {
  /** Completes the sentence "NAME must be …". */
  readonly must: string;
  /** The empty text is a value. Otherwise it is a mistake, and never means the default. */
  readonly allowsEmpty: boolean;
  /** @returns undefined when the text is no such value */
  parse(text: string): T | undefined;
}

/** An address with a display name, as e-mail headers hold it. */
export interface Mailbox {
  /** May be empty. */
  name: string;
  address: string;
}

function type<T>(must: string, parse: (text: string) => T | undefined, allowsEmpty = false): SettingType<T> {
  return { must, parse, allowsEmpty };
}

/** Decimal digits, with an optional leading "+" as the reference had it; both bounds included. */
export function integer(min: number, max: number): SettingType<number> {
  return type(`a whole number from ${min} to ${max}`, (text) => {
    if (!/^\+?[0-9]+$/.test(text)) return undefined;
    const value = Number(text);
    return value >= min && value <= max ? value : undefined;
  });
}

/** Nothing but these two words, as in the reference. */
export const boolean: SettingType<boolean> = type("true or false", (text) =>
  text === "true" ? true : text === "false" ? false : undefined,
);

/** Any text; `must` says what for. */
export function text(must: string): SettingType<string> {
  return type(must, (value) => value);
}

/** Any text, also none. */
export const textOrEmpty: SettingType<string> = type("text, which may be empty", (value) => value, true);

/** One of these words, in this spelling. */
export function oneOf<const Choice extends string>(...choices: readonly Choice[]): SettingType<Choice> {
  return type(`one of ${choices.join(", ")}`, (text) => choices.find((choice) => choice === text));
}

const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;

/**
 * Standard base64 with padding, of at least `length` bytes.
 * @returns the first `length` bytes, as the reference did
 */
export function secretBytes(length: number): SettingType<Uint8Array> {
  const must = `padded standard base64 of at least ${length} bytes (openssl rand -base64 ${length} | tr -d '\\n')`;
  return type(must, (text) => {
    if (!BASE64.test(text)) return undefined;
    try {
      const bytes = Uint8Array.fromBase64(text, { lastChunkHandling: "strict" });
      return bytes.length < length ? undefined : bytes.slice(0, length);
    } catch {
      return undefined;
    }
  });
}

const HOST_LABELS =
  /^(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?$/;

/** A host name or an IP address; the brackets of an IPv6 address may be there or not and are not in the value. */
export const host: SettingType<string> = type("a host name or an IP address, without a port", (text) => {
  const bracketed = /^\[(.*)\]$/.exec(text)?.[1];
  if (bracketed !== undefined) return isIP(bracketed) === 6 ? bracketed : undefined;
  return isIP(text) !== 0 || HOST_LABELS.test(text) ? text : undefined;
});

/** Not a full reading of RFC 5322: what mail relays take and what cannot break a header. */
const ADDRESS = /^[^\s<>()[\]\\,;:"@]+@[^\s<>()[\]\\,;:"@]+$/;
const MAILBOX = /^(?:"([^"\\]*)"|([^"<>]*?))\s*<([^<>]*)>$/;

/** `Name <a@b>`, or the address alone. */
export const mailbox: SettingType<Mailbox> = type("an address like Entries <entries@example.org>", (text) => {
  if (/\p{Cc}/u.test(text)) return undefined;
  const [, quotedName, plainName, bracketed] = MAILBOX.exec(text) ?? [];
  const address = bracketed ?? text;
  return ADDRESS.test(address) ? { name: (quotedName ?? plainName ?? "").trim(), address } : undefined;
});

/** The address of a site or page, without query and fragment; the value has no slash at its end. */
export const webAddress: SettingType<string> = type("a web address like https://entries.example.org", (text) => {
  if (!/^https?:\/\/[^\s?#@]+$/i.test(text) || !URL.canParse(text)) return undefined;
  return text.replace(/\/+$/, "");
});

/** Who may make an account: everybody, nobody, or addresses of these domains (decision A15). */
export type SignupPolicy = "open" | "closed" | { domains: readonly string[] };

export const signupPolicy: SettingType<SignupPolicy> = type(
  "open, closed, or e-mail domains separated by commas, like example.org,example.com",
  (text) => {
    if (text === "open" || text === "closed") return text;
    const domains = splitList(text.toLowerCase());
    const areDomains = domains.every((domain) => HOST_LABELS.test(domain) && domain.includes("."));
    return domains.length > 0 && areDomains ? { domains } : undefined;
  },
);

export const semanticVersion: SettingType<string> = type("a semantic version, like 1.10.0 or 2.0.0-beta.1", (text) =>
  isSemanticVersion(text) ? text : undefined,
);

const SSL_MODES = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/** The URL of a PostgreSQL database; several hosts may be given, separated by commas. The value is the text itself. */
export const databaseUrl: SettingType<string> = type(
  `a URL like postgres://user:password@host:5432/database?sslmode=verify-full (sslmode: ${SSL_MODES.join(", ")}; special characters in the user, password and database percent-encoded)`,
  (text) => {
    const [, beforeHost, hosts, rest] = /^(postgres(?:ql)?:\/\/(?:[^@/?#]*@)?)([^@/?#]+)(.*)$/.exec(text) ?? [];
    if (hosts === undefined) return undefined;
    const urls = hosts.split(",").map((hostAndPort) => `${beforeHost}${hostAndPort}${rest}`);
    return urls.every(isDatabaseUrl) ? text : undefined;
  },
);

function isDatabaseUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  const sslMode = url.searchParams.get("sslmode");
  const isDecodable = [url.username, url.password, url.pathname].every(isPercentEncoded);
  return (
    isDecodable &&
    url.hostname !== "" &&
    /^\/[^/]+$/.test(url.pathname) &&
    (sslMode === null || SSL_MODES.includes(sslMode))
  );
}

function isPercentEncoded(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

/** Items separated by commas, trimmed; empty ones are dropped, and an empty text is an empty list. */
export const list: SettingType<readonly string[]> = type("a comma-separated list", splitList, true);

function splitList(text: string): string[] {
  return text
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
}

export const networks: SettingType<readonly Cidr[]> = type(
  "a comma-separated list of IP addresses and networks, like 127.0.0.1,10.0.0.0/8,fd00::/8",
  (text) => {
    try {
      return parseCidrList(text);
    } catch {
      return undefined;
    }
  },
  true,
);

/**
 * A level, or one of the reference's longer forms: `trace` becomes debug, and of `info, some::module=trace` the level
 * for everything counts, or else the first.
 */
export const logLevel: SettingType<LogLevel> = type(`one of ${LOG_LEVELS.join(", ")}`, (text) => {
  const items = splitList(text.toLowerCase());
  const chosen = items.find((item) => !item.includes("=")) ?? items[0]?.split("=")[1]?.trim();
  return chosen === "trace" ? "debug" : LOG_LEVELS.find((level) => level === chosen);
});
