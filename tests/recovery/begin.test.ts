import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { shapeOf, startWatchedServer } from "../credential/changes.ts";
import { createUnverified } from "../support/accounts.ts";
import { newUser } from "../support/client.ts";
import { ENCODINGS, expectError } from "../support/containerCalls.ts";
import { expectUnchanged } from "../support/containerRows.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { begin, fetchParams } from "./recoveries.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

describe.each([...ENCODINGS])("GET /api/auth/recovery-params in %s", (encoding) => {
  test("A9, C19: gives the stored salts and parameters, in any letter case of the address", async () => {
    const { user } = await server.signUp(
      newUser({
        recovery_key_hash_salt_for_encryption: randomBytes(19),
        recovery_key_hash_mem_cost_kib: 70_001,
        recovery_key_hash_threads: 3,
        recovery_key_hash_iterations: 11,
      }),
    );
    for (const email of [user.email, user.email.toUpperCase()]) {
      const { status, value } = await fetchParams(server.client(encoding), email);
      expect(status).toBe(200);
      expect(value).toEqual({
        recovery_key_hash_salt_for_encryption: new Uint8Array(user.recovery_key_hash_salt_for_encryption),
        recovery_key_hash_salt_for_recovery_auth: new Uint8Array(user.recovery_key_hash_salt_for_recovery_auth),
        recovery_key_hash_mem_cost_kib: 70_001,
        recovery_key_hash_threads: 3,
        recovery_key_hash_iterations: 11,
      });
    }
  });
});

describe("GET /api/auth/recovery-params", () => {
  test("A9, S2: an unknown address gets two salts of 16 bytes and the configured parameters, the same for good", async () => {
    const ask = async (email: string) => (await fetchParams(server.client(), email)).value;
    const first = await ask("nobody@example.com");
    expect(first).toMatchObject({
      recovery_key_hash_mem_cost_kib: server.services.config.clientAuthStringHashMemCostKib,
      recovery_key_hash_threads: server.services.config.clientAuthStringHashThreads,
      recovery_key_hash_iterations: server.services.config.clientAuthStringHashIterations,
    });
    const salts = [first?.recovery_key_hash_salt_for_encryption, first?.recovery_key_hash_salt_for_recovery_auth];
    expect(salts.map((salt) => salt?.length)).toEqual([16, 16]);
    expect(salts[0]).not.toEqual(salts[1]);

    server.clock.aheadMs += 3 * 86_400_000;
    expect(await ask("nobody@example.com")).toEqual(first);
    expect(await ask("NOBODY@Example.COM")).toEqual(first);
    server.clock.aheadMs -= 3 * 86_400_000;
    const other = await ask("nobody2@example.com");
    expect(other?.recovery_key_hash_salt_for_encryption).not.toEqual(first?.recovery_key_hash_salt_for_encryption);
    const signInSalt = (await server.client().nonce("nobody@example.com")).value?.auth_string_hash_salt;
    expect(salts).not.toContainEqual(signInSalt);
  });

  test("S2: known and unknown answers are alike: status, headers, length; one statement each, and nothing is stored", async () => {
    const { user } = await server.signUp();
    const { server: watched, take } = await startWatchedServer(server);
    await expectUnchanged(server.db, async () => {
      const known = await fetchParams(watched.client(), user.email);
      const cost = take();
      const unknown = await fetchParams(watched.client(), "nobody@example.com");
      expect(shapeOf(unknown)).toEqual(shapeOf(known));
      expect(Object.keys(unknown.value ?? {})).toEqual(Object.keys(known.value ?? {}));
      expect(take()).toEqual(cost);
      expect(cost.statements).toHaveLength(1);
    });
    await watched.stop();
  });

  test("7.2: the address is any text", async () => {
    for (const text of ["", "\0", "ä", "a\0@example.com", "a".repeat(5000)]) {
      expect((await fetchParams(server.client(), text)).status).toBe(200);
    }
  });

  test("1.3: a missing or repeated address is 400 PREHANDLER", async () => {
    for (const query of ["", "?mail=a", "?email=a&email=a"]) {
      expectError(await server.client().call("GET", `/api/auth/recovery-params${query}`), "PREHANDLER", 400);
    }
  });
});

describe.each([...ENCODINGS])("POST /api/auth/recovery/begin in %s", (encoding) => {
  test("A9, C19: the right key gets the wrapped key, in any letter case of the address, and changes nothing", async () => {
    const { user } = await server.signUp();
    await expectUnchanged(server.db, async () => {
      for (const email of [user.email, user.email.toUpperCase()]) {
        const answer = await begin(server.client(encoding), email, user.recovery_key_auth_hash);
        expect(answer.status).toBe(200);
        expect(answer.value).toEqual({
          encryption_key_encrypted_with_recovery_key: new Uint8Array(user.encryption_key_encrypted_with_recovery_key),
        });
      }
    });
  });
});

describe("POST /api/auth/recovery/begin", () => {
  test("A9: wrong key and unknown address are answered alike, after the same work and statement", async () => {
    const { user } = await server.signUp();
    const { server: watched, take } = await startWatchedServer(server);
    await expectUnchanged(server.db, async () => {
      const known = await begin(watched.client(), user.email, randomBytes(33));
      const cost = take();
      const unknown = await begin(watched.client(), newUser().email, randomBytes(33));
      expectError(known, "INCORRECT_CREDENTIAL");
      expect(shapeOf(unknown)).toEqual(shapeOf(known));
      expect(take()).toEqual(cost);
      expect(cost).toMatchObject({ hashed: 0, verified: 1 });
      expect(cost.statements).toHaveLength(1);
    });
    expect((await begin(watched.client(), user.email, user.recovery_key_auth_hash)).status).toBe(200);
    expect(take()).toMatchObject({ hashed: 0, verified: 1 });
    await watched.stop();
  });

  test("5.3: a key over the AUTH limit is INCORRECT_CREDENTIAL, not 413; known or unknown alike", async () => {
    const { user } = await server.signUp();
    const tooLong = randomBytes(1025);
    const known = await begin(server.client(), user.email, tooLong);
    expectError(known, "INCORRECT_CREDENTIAL");
    expect(shapeOf(await begin(server.client(), newUser().email, tooLong))).toEqual(shapeOf(known));
  });

  test("A9, S4: an unverified account answers INVALID_STATE only to the right key", async () => {
    const { user } = await createUnverified(server);
    expectError(await begin(server.client(), user.email, user.recovery_key_auth_hash), "INVALID_STATE");
    const wrong = await begin(server.client(), user.email, randomBytes(33));
    expect(shapeOf(wrong)).toEqual(shapeOf(await begin(server.client(), newUser().email, randomBytes(33))));
    expectError(wrong, "INCORRECT_CREDENTIAL");
  });

  test("S1: the password's auth string is no recovery key", async () => {
    const { user } = await server.signUp();
    expectError(await begin(server.client(), user.email, user.auth_string), "INCORRECT_CREDENTIAL");
  });

  test("4.1: what is no address is INCORRECTLY_FORMED", async () => {
    for (const email of ["", "ann", "ann@", "a b@example.com", "ann@example.com\0", `${"a".repeat(250)}@b.com`]) {
      expectError(await begin(server.client(), email, randomBytes(33)), "INCORRECTLY_FORMED");
    }
  });
});
