/** What the tests of password, recovery key and account key share: updates, passcodes, and what came of them. */
import { randomBytes } from "node:crypto";
import {
  AccountKeyUpdate,
  AuthStringAndEncryptedPasswordUpdate,
  RecoveryKeyUpdate,
} from "../../src/credential/messages.ts";
import { type AccountEvent, noticeLetter } from "../../src/mail/accountLetters.ts";
import type { NewUser } from "../../src/user/messages.ts";
import { userIdOf } from "../support/accounts.ts";
import { type Answer, type Client, comparableHeaders, type Device } from "../support/client.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { watchStatements } from "../support/statements.ts";

/** A new passcode for a change of the account, from the mailbox. */
export async function changeOtp(server: TestServer, device: Device, { email }: NewUser): Promise<string> {
  await device.client.must("POST", "/api/auth/otp", { headers: device.headers() });
  return server.otpFor(email);
}

/** A signed-in user with a passcode for a change. */
export async function readyToChange(server: TestServer) {
  const device = await server.signUp();
  const { user } = device;
  return { device, user, otp: await changeOtp(server, device, user) };
}

export function passwordUpdate(
  { email }: NewUser,
  otp: string,
  overrides: Partial<AuthStringAndEncryptedPasswordUpdate> = {},
): AuthStringAndEncryptedPasswordUpdate {
  return {
    user_email: email,
    otp,
    new_auth_string: randomBytes(32),
    auth_string_hash_salt: randomBytes(17),
    auth_string_hash_mem_cost_kib: 70_001,
    auth_string_hash_threads: 3,
    auth_string_hash_iterations: 11,
    password_encryption_key_salt: randomBytes(18),
    password_encryption_key_mem_cost_kib: 70_002,
    password_encryption_key_threads: 4,
    password_encryption_key_iterations: 12,
    encrypted_encryption_key: randomBytes(49),
    ...overrides,
  };
}

export function putPassword(
  client: Client,
  update: AuthStringAndEncryptedPasswordUpdate,
  headers: Record<string, string> = {},
) {
  return client.call("PUT", "/api/user/password", {
    request: [AuthStringAndEncryptedPasswordUpdate, update],
    headers,
  });
}

export function newRecoveryHash() {
  return {
    recovery_key_hash_salt_for_encryption: randomBytes(19),
    recovery_key_hash_salt_for_recovery_auth: randomBytes(20),
    recovery_key_hash_mem_cost_kib: 70_003,
    recovery_key_hash_threads: 5,
    recovery_key_hash_iterations: 13,
    recovery_key_auth_hash: randomBytes(33),
  };
}

export function recoveryKeyUpdate(otp: string, overrides: Partial<RecoveryKeyUpdate> = {}): RecoveryKeyUpdate {
  return { otp, ...newRecoveryHash(), encrypted_encryption_key: randomBytes(50), ...overrides };
}

export function putRecoveryKey({ client, accessToken }: Device, update: RecoveryKeyUpdate) {
  return client.call("PUT", "/api/user/recovery-key", {
    request: [RecoveryKeyUpdate, update],
    headers: { "x-access-token": accessToken },
  });
}

/** With the nonces that a new user has, and new ones 7 and 8. */
export function accountKeyUpdate(
  user: NewUser,
  otp: string,
  overrides: Partial<AccountKeyUpdate> = {},
): AccountKeyUpdate {
  return {
    otp,
    encryption_key_encrypted_with_password: randomBytes(51),
    ...newRecoveryHash(),
    encryption_key_encrypted_with_recovery_key: randomBytes(52),
    preferences: {
      encrypted_blob: randomBytes(65),
      version_nonce: 7n,
      expected_previous_version_nonce: user.preferences_version_nonce,
    },
    keystore: {
      encrypted_blob: randomBytes(129),
      version_nonce: 8n,
      expected_previous_version_nonce: user.user_keystore_version_nonce,
    },
    ...overrides,
  };
}

/** The four optional fields of an account-key change. */
export const newPasswordKey = () => ({
  password_encryption_key_salt: randomBytes(25),
  password_encryption_key_mem_cost_kib: 70_021,
  password_encryption_key_threads: 6,
  password_encryption_key_iterations: 14,
});

export function putAccountKey({ client, accessToken }: Device, update: AccountKeyUpdate) {
  return client.call("PUT", "/api/user/account-key", {
    request: [AccountKeyUpdate, update],
    headers: { "x-access-token": accessToken },
  });
}

/** Everything that the tables hold of an account but for sessions and counters. */
export async function storedAccount(server: TestServer, user: NewUser): Promise<Record<string, unknown>> {
  const [row] = await server.db`
    select
      users.*,
      user_preferences.encrypted_blob as preferences, user_preferences.version_nonce as preferences_nonce,
      user_keystores.encrypted_blob as keystore, user_keystores.version_nonce as keystore_nonce
    from users
    join user_preferences on user_preferences.user_id = users.id
    join user_keystores on user_keystores.user_id = users.id
    where email = ${user.email}`;
  if (!row) throw new Error("there is no such account");
  return { ...row };
}

/** How many guesses the account's passcode for changes has left; undefined when there is no code any more. */
export async function attemptsLeft(server: TestServer, user: NewUser): Promise<number | undefined> {
  const [row] = await server.db`
    select attempts_left from user_otps
    where user_id = ${await userIdOf(server, user)} and purpose = 'account-change' and otp_hmac is not null`;
  return row?.attempts_left;
}

/** Which notices went to an address, oldest first. */
export function noticesTo(server: TestServer, address: string): AccountEvent[] {
  const events = ["password-changed", "recovery-key-changed", "account-recovered", "account-key-changed"] as const;
  return server.letters
    .filter(({ to }) => to === address)
    .flatMap(({ text }) => events.filter((event) => noticeLetter({ to: address, event }).text === text));
}

export interface Cost {
  hashed: number;
  verified: number;
  statements: string[];
}

export interface WatchedServer {
  server: TestServer;
  /** What requests cost since the last call. */
  take(): Cost;
}

/** Another process on the same database, whose hashing and statements are counted. */
export async function startWatchedServer({ database }: TestServer): Promise<WatchedServer> {
  const watched = watchStatements(database);
  const server = await startTestServer({}, watched.database);
  watched.take(); // of the start
  const { passwords } = server.services;
  let hashed = 0;
  let verified = 0;
  server.services.passwords = {
    ...passwords,
    hash: (secret) => {
      hashed++;
      return passwords.hash(secret);
    },
    verify: (stored, secret) => {
      verified++;
      return passwords.verify(stored, secret);
    },
  };
  return {
    server,
    take() {
      const cost = { hashed, verified, statements: watched.take() };
      hashed = 0;
      verified = 0;
      return cost;
    },
  };
}

/** What a stranger sees of an answer. */
export function shapeOf({ status, error, headers }: Answer<unknown>) {
  return { status, error, headers: comparableHeaders(headers) };
}

/** Runs something on a server whose one service is another for the time being. */
export async function withService<Name extends "passwords" | "mailer", Result>(
  { services }: TestServer,
  name: Name,
  changes: Partial<TestServer["services"][Name]>,
  run: () => Promise<Result>,
): Promise<Result> {
  const former = { [name]: services[name] };
  Object.assign(services, { [name]: { ...services[name], ...changes } });
  try {
    return await run();
  } finally {
    Object.assign(services, former);
  }
}
