/** What must hold between settings, and what is allowed but probably not meant. */

import type { Reading } from "./reader.ts";
import { SETTINGS } from "./table.ts";
import { readTlsPair, TlsFileError, type TlsPair } from "./tls.ts";

type Checked = Reading<typeof SETTINGS>;
type Name = { env: string };

const S = SETTINGS;
const DATABASE = S.externalDatabase;
const RELAY = S.relay;
const OLD = S.oldSwitches;
const DATABASE_PARTS = [DATABASE.hostname, DATABASE.name, DATABASE.username, DATABASE.password];

/** True when the operator names a database, rightly or wrongly. */
export function namesDatabase({ given }: Pick<Checked, "given">): boolean {
  return [DATABASE.url, DATABASE.port, ...DATABASE_PARTS].some(({ env }) => given.has(env));
}

/** True when mail shall go out to a relay. */
export function sendsMail({ values }: Pick<Checked, "values">): boolean {
  return values.relay.host !== undefined && values.oldSwitches.isEmailEnabled !== false;
}

/** @returns one sentence per problem; a setting whose own value is wrong causes no further ones */
export function findContradictions(reading: Checked): string[] {
  const problems: string[] = [];
  const demand = (holds: boolean, involved: readonly Name[], sentence: string) => {
    if (!holds && !involved.some(({ env }) => reading.wrong.has(env))) problems.push(sentence);
  };
  checkDatabase(reading, demand);
  checkMail(reading, demand);
  checkTls(reading, demand);

  const { values: v, given } = reading;
  demand(
    v.getBodyPort !== v.port || v.port === 0,
    [S.getBodyPort, S.port],
    `${S.getBodyPort.env} and ${S.port.env} must differ.`,
  );
  demand(
    v.accessTokenLifetimeMins <= v.refreshTokenLifetimeDays * 1440,
    [S.accessTokenLifetimeMins, S.refreshTokenLifetimeDays],
    `${S.accessTokenLifetimeMins.env} must not be longer than ${S.refreshTokenLifetimeDays.env}.`,
  );
  demand(
    v.clientAuthStringHashIterations >= 2 || v.clientAuthStringHashMemCostKib >= 47_104,
    [S.clientAuthStringHashIterations, S.clientAuthStringHashMemCostKib],
    `${S.clientAuthStringHashIterations.env} must be at least 2 when ${S.clientAuthStringHashMemCostKib.env} is under 47104: no client may use less.`,
  );
  demand(
    v.oldSwitches.usesForwardedFor !== false || v.trustedProxies.length === 0 || !given.has(S.trustedProxies.env),
    [S.trustedProxies],
    `${OLD.usesForwardedFor.env}=false contradicts ${S.trustedProxies.env}; remove one of them.`,
  );
  return problems;
}

type Demand = (holds: boolean, involved: readonly Name[], sentence: string) => void;

function checkDatabase(reading: Checked, demand: Demand): void {
  if (!namesDatabase(reading)) return;
  const { values, given } = reading;
  if (given.has(DATABASE.url.env)) {
    for (const { env } of [DATABASE.port, ...DATABASE_PARTS]) {
      demand(!given.has(env), [], `${env} and ${DATABASE.url.env} are both set; remove one of them.`);
    }
  } else {
    for (const part of DATABASE_PARTS) {
      demand(
        given.has(part.env),
        [],
        `${part.env} is missing: a database is named by ${listOf(DATABASE_PARTS)} together.`,
      );
    }
  }
  for (const key of ["tokenSigningKey", "authStringHashKey"] as const) {
    demand(
      values[key] !== undefined,
      [S[key]],
      `${S[key].env} is missing: with a database of your own it must be ${S[key].type.must}.`,
    );
  }
}

function checkMail({ values, given }: Checked, demand: Demand): void {
  if (values.oldSwitches.isEmailEnabled === false) return;
  if (values.relay.host === undefined) {
    demand(
      values.oldSwitches.isEmailEnabled !== true,
      [RELAY.host],
      `${OLD.isEmailEnabled.env}=true needs ${RELAY.host.env}.`,
    );
    for (const { env } of [RELAY.security, RELAY.port, RELAY.username, RELAY.password, RELAY.caFile]) {
      demand(!given.has(env), [RELAY.host], `${env} is set, but ${RELAY.host.env} is missing.`);
    }
    return;
  }
  demand(
    given.has(S.emailFrom.env),
    [],
    `${S.emailFrom.env} is missing: mail through ${RELAY.host.env} needs a sender.`,
  );
  demand(
    (values.relay.username ?? "") === "" || (values.relay.password ?? "") !== "",
    [RELAY.username, RELAY.password],
    `${RELAY.password.env} is missing: ${RELAY.username.env} is set.`,
  );
  demand(
    (values.relay.password ?? "") === "" || (values.relay.username ?? "") !== "",
    [RELAY.username, RELAY.password],
    `${RELAY.username.env} is missing: ${RELAY.password.env} is set.`,
  );
}

function checkTls(reading: Checked, demand: Demand): void {
  const { certFile, keyFile } = reading.values.tls;
  const other = certFile === undefined ? S.tls.certFile : S.tls.keyFile;
  demand(
    (certFile === undefined) === (keyFile === undefined),
    [S.tls.certFile, S.tls.keyFile],
    `${other.env} is missing: HTTPS needs a certificate and its key.`,
  );
  const found = tlsPairOf(reading);
  if (typeof found === "string") demand(false, [], `${S.tls.certFile.env}, ${S.tls.keyFile.env}: ${found}`);
}

/** @returns a sentence when the files cannot be used; undefined when there are none */
function tlsPairOf({ values: { tls } }: Checked): TlsPair | string | undefined {
  const { certFile, keyFile } = tls;
  if (certFile === undefined || keyFile === undefined) return undefined;
  try {
    return readTlsPair({ certFile, keyFile });
  } catch (error) {
    if (error instanceof TlsFileError) return error.message;
    throw error;
  }
}

function listOf(settings: readonly Name[]): string {
  return settings.map(({ env }) => env).join(", ");
}

/** The paths of the pages that confirm a deletion. */
const DELETION_PATHS = ["/account/deletion", "/api/user/deletion/verify"];

const LOOPBACK = /^(localhost|127\..*|::1)$/i;

/** @returns one sentence per setting that is allowed but probably not meant */
export function findDoubts(reading: Checked): string[] {
  const { values: v, origins } = reading;
  const doubts: string[] = [];
  const doubt = (isDoubtful: boolean, sentence: string) => {
    if (isDoubtful) doubts.push(sentence);
  };
  for (const key of ["tokenSigningKey", "authStringHashKey", "tokenEncryptionKey"] as const) {
    const secret = v[key];
    doubt(
      secret !== undefined && looksMadeUp(secret),
      `${S[key].env} does not look random; whoever guesses it can sign in as anyone.`,
    );
  }
  for (const origin of v.corsAllowedOrigins) {
    doubt(
      !isOrigin(origin),
      `${S.corsAllowedOrigins.env}: ${JSON.stringify(origin)} matches no browser; an origin looks like https://app.example.org, without a path or slash at the end.`,
    );
  }
  const deletionUrl = v.userDeletionUrl;
  doubt(
    deletionUrl !== undefined && !DELETION_PATHS.some((path) => deletionUrl.endsWith(path)),
    `${S.userDeletionUrl.env}: this server answers ${DELETION_PATHS.join(" and ")}, but not ${JSON.stringify(deletionUrl)}; nobody can confirm a deletion unless something else leads that address there.`,
  );
  const tls = tlsPairOf(reading);
  if (typeof tls === "object" && tls.doubt !== undefined) doubts.push(`${S.tls.certFile.env}: ${tls.doubt}`);
  doubt(
    tls !== undefined && v.publicUrl.startsWith("http://"),
    `${S.publicUrl.env} begins with http:, but with ${S.tls.certFile.env} this server speaks HTTPS only.`,
  );
  doubt(
    tls !== undefined && v.getBodyPort !== undefined,
    `${S.getBodyPort.env} is a port for a proxy: it speaks plain HTTP, also with ${S.tls.certFile.env}.`,
  );
  const level = origins.get(S.logLevel.env)?.text ?? "";
  doubt(
    level.includes("="),
    `${S.logLevel.env}: levels for single modules are not known here; the level is ${v.logLevel}.`,
  );
  doubt(
    namesDatabase(reading) && !sendsMail(reading),
    `No mail is sent, passcodes included, because ${RELAY.host.env} is not set: it is only written to the directory outbox in ${v.dataDir}.`,
  );
  if (sendsMail(reading)) {
    doubt(
      v.relay.port === 465 && v.relay.security !== "tls",
      `${RELAY.port.env}=465 usually needs ${RELAY.security.env}=tls.`,
    );
    doubt(
      v.relay.security === "plain" && (v.relay.password ?? "") !== "" && !LOOPBACK.test(v.relay.host ?? ""),
      `${RELAY.security.env}=plain sends the relay's password unencrypted over the network.`,
    );
  }
  return doubts;
}

/** Of random bytes hardly any are alike: half of them being repetitions is as good as impossible. */
function looksMadeUp(key: Uint8Array): boolean {
  return new Set(key).size < key.length / 2;
}

function isOrigin(text: string): boolean {
  return /^[a-z][a-z0-9+.-]*:\/\/[^/?#@\s*]+$/.test(text);
}
