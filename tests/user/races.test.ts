/**
 * Races of an account's own routes that are certain: requests wait for one lock, or something happens in the middle of
 * one.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { EncryptedBlobUpdate } from "../../src/container/messages.ts";
import type { Executor } from "../../src/db/query.ts";
import { NewUserPublicKey } from "../../src/user/messages.ts";
import { withService } from "../credential/changes.ts";
import { countByStatus, createUnverified, userIdOf } from "../support/accounts.ts";
import { newUser, recipientPublicKey } from "../support/client.ts";
import { expectError } from "../support/containerCalls.ts";
import { heldUp } from "../support/races.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const REQUESTS = 5;

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

type Account = Awaited<ReturnType<TestServer["signUp"]>>;

interface Kind {
  name: string;
  lock: (transaction: Executor, user_id: string) => Promise<unknown>;
  put: (account: Account) => Promise<{ status: number; error: undefined | { err_type: string } }>;
}

describe("C6: changes that all saw the same version", () => {
  const blob = (account: Account, path: string, expected_previous_version_nonce: bigint) => {
    const update = { encrypted_blob: randomBytes(30), version_nonce: 5n, expected_previous_version_nonce };
    return account.client.call("PUT", path, { request: [EncryptedBlobUpdate, update], headers: account.headers() });
  };
  const KINDS: Kind[] = [
    {
      name: "8.4: preferences",
      lock: (transaction, id) => transaction`select from user_preferences where user_id = ${id} for update`,
      put: (account) => blob(account, "/api/user/preferences", account.user.preferences_version_nonce),
    },
    {
      name: "8.5: keystore",
      lock: (transaction, id) => transaction`select from user_keystores where user_id = ${id} for update`,
      put: (account) => blob(account, "/api/user/keystore", account.user.user_keystore_version_nonce),
    },
    {
      name: "8.3: public key",
      lock: (transaction, id) => transaction`select from users where id = ${id} for update`,
      put: (account) =>
        account.client.call("PUT", "/api/user/public-key", {
          request: [
            NewUserPublicKey,
            {
              id: crypto.randomUUID(),
              value: recipientPublicKey(),
              expected_previous_public_key_id: account.user.public_key_id,
            },
          ],
          headers: account.headers(),
        }),
    },
  ];

  test.each(KINDS)("$name: exactly one is made, the others are OUT_OF_DATE", async ({ lock, put }) => {
    const account = await server.signUp();
    const user_id = await userIdOf(server, account.user);
    const requests = Array.from({ length: REQUESTS }, () => () => put(account));
    const answers = await heldUp(server.db, (transaction) => lock(transaction, user_id), requests);
    const verdicts = answers.map(({ status, error }) => error?.err_type ?? status);
    expect(verdicts.sort()).toEqual([200, ...Array(REQUESTS - 1).fill("OUT_OF_DATE")]);
  });
});

describe("S12: a sign-up with an address that somebody proves at the same moment", () => {
  test("is CONFLICT_WITH_EXISTING, and the account that proved it stays whole", async () => {
    const owner = await createUnverified(server);
    const { email } = owner.user;
    const id = await userIdOf(server, owner.user);
    server.clock.aheadMs += 11 * 60_000; // now its address would be given to whoever signs up
    const { passwords } = server.services;
    const hash = async (secret: Uint8Array) => {
      await server.db`update users set verification_deadline = null where id = ${id}`;
      return passwords.hash(secret);
    };
    const answer = await withService(server, "passwords", { hash }, () =>
      server.client().createUser(newUser({ email })),
    );

    expectError(answer, "CONFLICT_WITH_EXISTING");
    expect(await userIdOf(server, owner.user)).toBe(id);
  });

  test("also when it is proven while the sign-up waits for its row", async () => {
    const owner = await createUnverified(server);
    const id = await userIdOf(server, owner.user);
    server.clock.aheadMs += 11 * 60_000;
    const [answer] = await heldUp(
      server.db,
      (transaction) => transaction`update users set verification_deadline = null where id = ${id}`,
      [() => server.client().createUser(newUser({ email: owner.user.email }))],
    );

    expect(countByStatus(answer ? [answer] : [])).toEqual({ "400 CONFLICT_WITH_EXISTING": 1 });
    expect(await userIdOf(server, owner.user)).toBe(id);
  });
});
