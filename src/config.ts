/**
 * The configuration of the server: read once at start, from the environment alone (decision P3). The table of settings
 * is in `settings/table.ts`.
 */

import { findContradictions, findDoubts, namesDatabase, sendsMail } from "./settings/checks.ts";
import { findUnreadNames } from "./settings/names.ts";
import { type Environment, type Origin, readSettings } from "./settings/reader.ts";
import { SETTINGS } from "./settings/table.ts";
import type { TlsFiles } from "./settings/tls.ts";
import type { ValuesOf } from "./settings/tree.ts";

export type { Mailbox } from "./settings/types.ts";

type Values = ValuesOf<typeof SETTINGS>;

/**
 * Every setting under its key in the table, units at the end of the name; all values are checked. `KB` is 1,024 bytes,
 * `MB` 1,048,576. Secrets may be missing until `completeSecrets` has run.
 */
export interface Config extends Omit<Values, "externalDatabase" | "relay" | "oldSwitches" | "tls"> {
  database: DatabaseSetting;
  /** undefined: plain HTTP. */
  tls: TlsFiles | undefined;
  /** undefined: mail is written to the outbox directory. */
  smtp: SmtpSettings | undefined;
}

/** The PostgreSQL that the server brings along, or one of the operator's; user and password are in the URL. */
export type DatabaseSetting = { kind: "embedded" } | { kind: "external"; url: string };

/** The relay; user and password are both there or both not. */
export type SmtpSettings = Omit<Values["relay"], "host"> & { host: string };

/** The texts of command-line options; they win over the environment. */
export interface ConfigOptions {
  port?: string | undefined;
  dataDir?: string | undefined;
}

/** What the operator should hear in any case. */
export interface Notices {
  /** One sentence each: misspelt names, doubtful values. */
  warnings: string[];
  /** Variables of the reference server that are accepted and mean nothing here. */
  ignored: string[];
}

export type ConfigResult = Notices &
  (
    | {
        config: Config;
        /** By variable, for `config print`. The texts of secrets are among them. */
        origins: ReadonlyMap<string, Origin>;
      }
    | {
        /** All of them, one sentence each, by the name of the variable and without values of secrets. */
        problems: string[];
      }
  );

/** Reads and checks the whole configuration. Files are read only where a `…_FILE` variable names one. */
export function loadConfig(env: Environment, options: ConfigOptions = {}): ConfigResult {
  const given = new Map(
    Object.entries({
      [SETTINGS.port.env]: { text: options.port, name: "--port" },
      [SETTINGS.dataDir.env]: { text: options.dataDir, name: "--data-dir" },
    }).flatMap(([variable, { text, name }]) => (text === undefined ? [] : [[variable, { text, name, source: name }]])),
  );
  const reading = readSettings(SETTINGS, env, given);
  const unread = findUnreadNames(env);
  const warnings = [...reading.warnings, ...findDoubts(reading), ...unread.warnings];
  const ignored = [...unread.ignored, ...withoutEffect(reading.values)];

  const problems = [...reading.problems, ...findContradictions(reading)];
  if (problems.length > 0) return { problems, warnings, ignored };

  const { externalDatabase, relay, oldSwitches, tls, ...rest } = reading.values;
  const config: Config = {
    ...rest,
    trustedProxies: oldSwitches.usesForwardedFor === false ? [] : rest.trustedProxies,
    database: namesDatabase(reading) ? { kind: "external", url: urlOf(externalDatabase) } : { kind: "embedded" },
    tls: tlsOf(tls),
    smtp: sendsMail(reading) ? smtpOf(relay) : undefined,
  };
  return { config, origins: reading.origins, warnings, ignored };
}

/** The old switches only do something when they are off. */
function withoutEffect({ oldSwitches }: Values): string[] {
  const { isEmailEnabled, usesForwardedFor } = SETTINGS.oldSwitches;
  return [
    ...(oldSwitches.isEmailEnabled ? [isEmailEnabled.env] : []),
    ...(oldSwitches.usesForwardedFor ? [usesForwardedFor.env] : []),
  ];
}

function tlsOf({ certFile, keyFile }: Values["tls"]): TlsFiles | undefined {
  return certFile === undefined || keyFile === undefined ? undefined : { certFile, keyFile };
}

function urlOf({
  url,
  hostname = "",
  port,
  name = "",
  username = "",
  password = "",
}: Values["externalDatabase"]): string {
  if (url !== undefined) return url;
  const [user, secret, database] = [username, password, name].map(encodeURIComponent);
  const host = hostname.includes(":") ? `[${hostname}]` : hostname;
  return `postgres://${user}:${secret}@${host}:${port}/${database}`;
}

/** Empty credentials are none: the reference wanted the variables even when mail was off. */
function smtpOf(relay: Values["relay"]): SmtpSettings | undefined {
  const { host, username, password } = relay;
  if (host === undefined) return undefined;
  return { ...relay, host, username: username || undefined, password: password || undefined };
}
