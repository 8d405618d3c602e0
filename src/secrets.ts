/**
 * Secrets that nobody has to choose: with the embedded database they are made at the first start and kept in
 * `<data-dir>/secrets/` (decision P2), as base64 text, so that a file can be handed to another server by a `…_FILE`
 * variable.
 */
import { randomBytes, randomUUID } from "node:crypto";
import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import type { Config } from "./config.ts";
import { createDataDirectory, messageOf, syncDirectory } from "./db/dataDirectory.ts";
import { SETTINGS } from "./settings/table.ts";
import { secretBytes } from "./settings/types.ts";

/** A configuration with every secret that the server cannot do without. */
export type CompleteConfig = Config & { tokenSigningKey: Uint8Array; authStringHashKey: Uint8Array };

/** A secret cannot be read or made. The message is for the operator and names the file. */
export class SecretFileError extends Error {
  override readonly name = "SecretFileError";
}

interface SecretFile {
  env: string;
  name: string;
  /** In bytes. */
  length: number;
}

const TOKEN_SIGNING_KEY = { env: SETTINGS.tokenSigningKey.env, name: "token-signing-key", length: 64 };
const AUTH_STRING_HASH_KEY = { env: SETTINGS.authStringHashKey.env, name: "auth-string-hash-key", length: 32 };

/** What may be in `<data-dir>/secrets/`, by the key of the configuration that makes it unnecessary. */
export const SECRET_FILES = [
  { ...TOKEN_SIGNING_KEY, key: "tokenSigningKey", isForPasswords: false },
  { ...AUTH_STRING_HASH_KEY, key: "authStringHashKey", isForPasswords: true },
] as const;

/**
 * Fills in the secrets that the environment does not give. A file, once made, is read again at every start and never
 * replaced; two servers that start at once end up with the same secrets.
 *
 * @param dataDir made if missing
 * @param hasAccounts the database holds accounts: their passwords were hashed with a key that must not be lost
 * @throws SecretFileError when a file is damaged or out of reach, when the key of existing password hashes is missing,
 *   or when a secret is missing and the database is not the embedded one
 * @throws EmbeddedPostgresError when the data directory cannot be made
 */
export function completeSecrets(config: Config, dataDir: string, hasAccounts = false): CompleteConfig {
  const keep = (secret: SecretFile, mayBeMade: boolean) => {
    if (config.database.kind === "embedded") return keptSecret(dataDir, secret, mayBeMade);
    throw new SecretFileError(`${secret.env} is missing: with a database of your own it is not made up.`);
  };
  return {
    ...config,
    tokenSigningKey: config.tokenSigningKey ?? keep(TOKEN_SIGNING_KEY, true),
    authStringHashKey: config.authStringHashKey ?? keep(AUTH_STRING_HASH_KEY, !hasAccounts),
  };
}

/**
 * The secrets in `<data-dir>/secrets/` that the server uses, for a backup; those of the environment are not among them.
 *
 * @returns base64 by the name of the file
 * @throws SecretFileError when one is damaged or out of reach
 */
export function readKeptSecrets(config: Config): Record<string, string> {
  const kept = SECRET_FILES.filter(({ key }) => config[key] === undefined)
    .map((secret) => ({ ...secret, path: join(config.dataDir, "secrets", secret.name) }))
    .filter(({ path }) => existsSync(path));
  return Object.fromEntries(kept.map((secret) => [secret.name, readOrExplain(secret.path, secret).toBase64()]));
}

/**
 * Puts secrets from a backup into a data directory that has none.
 *
 * @param secrets base64 by the name of the file; other names are left out
 * @throws SecretFileError when one cannot be written or is not whole
 */
export function putSecrets(dataDir: string, secrets: Readonly<Record<string, string>>): void {
  const directory = join(dataDir, "secrets");
  for (const secret of SECRET_FILES) {
    const text = secrets[secret.name];
    if (text === undefined) continue;
    const path = join(directory, secret.name);
    try {
      createSecretsDirectory(directory);
      createSecret(directory, path, text);
    } catch (error) {
      throw outOfReach(path, error);
    }
    readSecret(path, secret);
  }
}

function readOrExplain(path: string, secret: SecretFile): Uint8Array {
  try {
    return readSecret(path, secret);
  } catch (error) {
    throw outOfReach(path, error);
  }
}

function keptSecret(dataDir: string, secret: SecretFile, mayBeMade: boolean): Uint8Array {
  const directory = join(createDataDirectory(dataDir), "secrets");
  const path = join(directory, secret.name);
  try {
    if (!existsSync(path)) {
      if (!mayBeMade) throw lostSecret(path, secret);
      createSecretsDirectory(directory);
      createSecret(directory, path, randomBytes(secret.length).toString("base64"));
    }
    return readSecret(path, secret);
  } catch (error) {
    throw outOfReach(path, error);
  }
}

function outOfReach(path: string, error: unknown): SecretFileError {
  if (error instanceof SecretFileError) return error;
  return new SecretFileError(`Cannot read or make the secret ${path}: ${messageOf(error)}`);
}

/** A new secret would lock everybody out for good, and hide that the old one is needed. */
function lostSecret(path: string, { env }: SecretFile): SecretFileError {
  return new SecretFileError(
    `The secret ${path} is missing, but the database holds accounts whose passwords were hashed with one. ` +
      `Put the file back from a backup, or set ${env} to the value that was used before.`,
  );
}

function createSecretsDirectory(directory: string): void {
  const isNew = mkdirSync(directory, { recursive: true, mode: 0o700 }) !== undefined;
  if (isNew) chmodSync(directory, 0o700); // whatever the umask is
}

/**
 * Writes the whole file under a name of its own, then gives it its real name. `link` does that at once and fails when
 * the name is taken, so that a crash leaves no half a secret and of two servers one wins.
 */
function createSecret(directory: string, path: string, text: string): void {
  const draft = join(directory, `new-${randomUUID()}`);
  const fileDescriptor = openSync(draft, "wx", 0o600);
  try {
    writeSync(fileDescriptor, `${text}\n`);
    fsyncSync(fileDescriptor);
    linkSync(draft, path);
  } catch (error) {
    const anotherWasFirst = error instanceof Error && "code" in error && error.code === "EEXIST";
    if (!anotherWasFirst) throw error;
  } finally {
    closeSync(fileDescriptor);
    unlinkSync(draft);
  }
  syncDirectory(directory);
}

/** @throws SecretFileError when the file holds anything but a whole secret */
function readSecret(path: string, { env, length }: SecretFile): Uint8Array {
  const bytes = secretBytes(length).parse(readFileSync(path, "utf8").trimEnd());
  if (bytes) return bytes;
  throw new SecretFileError(
    `The secret ${path} is damaged: it must hold ${length} bytes in base64. ` +
      `Put it back from a backup, or set ${env} to the value that it had.`,
  );
}
