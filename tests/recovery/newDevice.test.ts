/**
 * Decision A9 with the cryptography of a real client: what the server gives out must suffice to open an account on a
 * device that never saw it.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { argon2, createCipheriv, createDecipheriv, hkdfSync, randomBytes } from "node:crypto";
import { promisify } from "node:util";
import { granted } from "../support/accounts.ts";
import { type Client, newUser } from "../support/client.ts";
import { ENCODINGS, expectEmptyOk, expectError } from "../support/containerCalls.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { begin, fetchParams, recover } from "./recoveries.ts";

const argon2Async = promisify(argon2);

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

interface HashParameters {
  salt: Uint8Array;
  mem_cost_kib: number;
  threads: number;
  iterations: number;
}

/** The least that the server takes, since a test hashes often. */
const COST = { mem_cost_kib: 19_456, threads: 1, iterations: 2 };

/** Argon2id, then HKDF-SHA256 for a purpose: 32 bytes. */
async function derive(secret: string, purpose: string, { salt, ...cost }: HashParameters): Promise<Uint8Array> {
  const hash = await argon2Async("argon2id", {
    message: secret,
    nonce: salt,
    parallelism: cost.threads,
    tagLength: 32,
    memory: cost.mem_cost_kib,
    passes: cost.iterations,
  });
  return new Uint8Array(hkdfSync("sha256", hash, salt, purpose, 32));
}

/** AES-256-GCM: nonce (12 bytes), ciphertext, tag (16). */
function seal(key: Uint8Array, plaintext: Uint8Array): Uint8Array {
  const nonce = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", key, nonce);
  return Buffer.concat([nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

/** @throws Error when the key is another one */
function open(key: Uint8Array, sealed: Uint8Array): Uint8Array {
  const decipher = createDecipheriv("aes-256-gcm", key, sealed.subarray(0, 12));
  decipher.setAuthTag(sealed.subarray(-16));
  return Buffer.concat([decipher.update(sealed.subarray(12, -16)), decipher.final()]);
}

/** The secrets and blobs of an account that a device makes. */
async function makeAccount(password: string, recoveryKey: string, preferences: string) {
  const masterKey = randomBytes(32);
  const authSalt = randomBytes(16);
  const keySalt = randomBytes(16);
  const recoverySalt = randomBytes(16);
  const recoveryAuthSalt = randomBytes(16);
  const passwordKey = await derive(password, "encryption", { salt: keySalt, ...COST });
  const recoveryWrappingKey = await derive(recoveryKey, "encryption", { salt: recoverySalt, ...COST });
  return newUser({
    auth_string: await derive(password, "authentication", { salt: authSalt, ...COST }),
    auth_string_hash_salt: authSalt,
    auth_string_hash_mem_cost_kib: COST.mem_cost_kib,
    auth_string_hash_threads: COST.threads,
    auth_string_hash_iterations: COST.iterations,
    password_encryption_key_salt: keySalt,
    password_encryption_key_mem_cost_kib: COST.mem_cost_kib,
    password_encryption_key_threads: COST.threads,
    password_encryption_key_iterations: COST.iterations,
    recovery_key_hash_salt_for_encryption: recoverySalt,
    recovery_key_hash_salt_for_recovery_auth: recoveryAuthSalt,
    recovery_key_hash_mem_cost_kib: COST.mem_cost_kib,
    recovery_key_hash_threads: COST.threads,
    recovery_key_hash_iterations: COST.iterations,
    recovery_key_auth_hash: await derive(recoveryKey, "authentication", { salt: recoveryAuthSalt, ...COST }),
    encryption_key_encrypted_with_password: seal(passwordKey, masterKey),
    encryption_key_encrypted_with_recovery_key: seal(recoveryWrappingKey, masterKey),
    preferences_encrypted: seal(masterKey, Buffer.from(preferences)),
  });
}

/** All that a new device does with an address and a recovery key, and nothing else. @returns the account's key */
async function unwrapWithRecoveryKey(client: Client, email: string, recoveryKey: string) {
  const params = granted(await fetchParams(client, email));
  const cost = {
    mem_cost_kib: params.recovery_key_hash_mem_cost_kib,
    threads: params.recovery_key_hash_threads,
    iterations: params.recovery_key_hash_iterations,
  };
  const salts = {
    authentication: params.recovery_key_hash_salt_for_recovery_auth,
    encryption: params.recovery_key_hash_salt_for_encryption,
  };
  const authHash = await derive(recoveryKey, "authentication", { salt: salts.authentication, ...cost });
  const material = granted(await begin(client, email, authHash));
  const wrappingKey = await derive(recoveryKey, "encryption", { salt: salts.encryption, ...cost });
  return { authHash, masterKey: open(wrappingKey, material.encryption_key_encrypted_with_recovery_key) };
}

async function replaceSecrets(
  client: Client,
  email: string,
  { authHash, masterKey }: { authHash: Uint8Array; masterKey: Uint8Array },
  next: { password: string; recoveryKey: string },
) {
  const account = await makeAccount(next.password, next.recoveryKey, "");
  const passwordKey = await derive(next.password, "encryption", {
    salt: account.password_encryption_key_salt,
    ...COST,
  });
  const recoverySalt = account.recovery_key_hash_salt_for_encryption;
  const recoveryWrappingKey = await derive(next.recoveryKey, "encryption", { salt: recoverySalt, ...COST });
  return recover(client, {
    recovery_key_hash_for_recovery_auth: authHash,
    user_email: email,
    new_auth_string: account.auth_string,
    new_auth_string_hash_salt: account.auth_string_hash_salt,
    new_auth_string_hash_mem_cost_kib: COST.mem_cost_kib,
    new_auth_string_hash_threads: COST.threads,
    new_auth_string_hash_iterations: COST.iterations,
    new_recovery_key_hash_salt_for_encryption: recoverySalt,
    new_recovery_key_hash_salt_for_recovery_auth: account.recovery_key_hash_salt_for_recovery_auth,
    new_recovery_key_hash_mem_cost_kib: COST.mem_cost_kib,
    new_recovery_key_hash_threads: COST.threads,
    new_recovery_key_hash_iterations: COST.iterations,
    new_recovery_key_auth_hash: account.recovery_key_auth_hash,
    encryption_key_encrypted_with_new_password: seal(passwordKey, masterKey),
    encryption_key_encrypted_with_new_recovery_key: seal(recoveryWrappingKey, masterKey),
    new_password_encryption_key_salt: account.password_encryption_key_salt,
    new_password_encryption_key_mem_cost_kib: COST.mem_cost_kib,
    new_password_encryption_key_threads: COST.threads,
    new_password_encryption_key_iterations: COST.iterations,
  });
}

/** Signs in with a password and the passcode from the mailbox. @returns the preferences in clear */
async function readPreferences(client: Client, email: string, password: string): Promise<string> {
  const asked = granted(await client.nonce(email));
  const auth_string = await derive(password, "authentication", {
    salt: asked.auth_string_hash_salt,
    mem_cost_kib: asked.auth_string_hash_mem_cost_kib,
    threads: asked.auth_string_hash_threads,
    iterations: asked.auth_string_hash_iterations,
  });
  const { value: signinToken } = granted(await client.signInWith({ email, auth_string, nonce: asked.nonce }));
  const session = granted(await client.verifyOtp(signinToken, server.otpFor(email)));
  const passwordKey = await derive(password, "encryption", {
    salt: session.password_encryption_key_salt,
    mem_cost_kib: session.password_encryption_key_mem_cost_kib,
    threads: session.password_encryption_key_threads,
    iterations: session.password_encryption_key_iterations,
  });
  const masterKey = open(passwordKey, session.encryption_key_encrypted_with_password);
  return Buffer.from(open(masterKey, session.preferences_encrypted)).toString();
}

describe.each([...ENCODINGS])("A9, C19 in %s", (encoding) => {
  test("recovers an account on a new device that knows only the e-mail and the recovery key", async () => {
    const { email } = (await server.signUp(await makeAccount("forgotten", "RECOVERY-ONE", "currency: CHF"))).user;

    const device = server.client(encoding);
    const opened = await unwrapWithRecoveryKey(device, email, "RECOVERY-ONE");
    const next = { password: "remembered", recoveryKey: "RECOVERY-TWO" };
    expectEmptyOk(await replaceSecrets(device, email, opened, next));
    expect(await readPreferences(device, email, "remembered")).toBe("currency: CHF");

    // The former secrets are worth nothing any more, the new recovery key opens the same account key.
    expectError(await replaceSecrets(device, email, opened, next), "INCORRECT_CREDENTIAL");
    await expect(readPreferences(device, email, "forgotten")).rejects.toThrow("INCORRECT_CREDENTIAL");
    const again = await unwrapWithRecoveryKey(device, email, "RECOVERY-TWO");
    expect(again.masterKey).toEqual(opened.masterKey);
  });

  test("does not recover it with a wrong recovery key", async () => {
    const { email } = (await server.signUp(await makeAccount("forgotten", "RECOVERY-ONE", "currency: CHF"))).user;
    const attempt = unwrapWithRecoveryKey(server.client(encoding), email, "RECOVERY-0NE");
    await expect(attempt).rejects.toThrow("INCORRECT_CREDENTIAL");
    expect(await readPreferences(server.client(encoding), email, "forgotten")).toBe("currency: CHF");
  });
});
