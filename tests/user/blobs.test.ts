/** PUT /api/user/preferences and /api/user/keystore (accounts.md 8.4, 8.5). */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { EncryptedBlobUpdate } from "../../src/container/messages.ts";
import { countByStatus, granted, signInAgain } from "../support/accounts.ts";
import { newUser } from "../support/client.ts";
import { ENCODINGS, expectEmptyOk, expectError, INT64_MAX, INT64_MIN } from "../support/containerCalls.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { watchStatements } from "../support/statements.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
/** Small limits are quick to reach: 2 KiB of preferences, 3 MiB of keystore. */
const LIMITS = { ENTRIES_MAX_USER_PREFERENCES_SIZE_KB: "2", ENTRIES_MAX_KEYSTORE_SIZE_KB: "3072" };

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer(LIMITS);
});
afterAll(() => server.stop());

type Account = Awaited<ReturnType<TestServer["signUp"]>>;

interface Kind {
  path: string;
  table: "user_preferences" | "user_keystores";
  bytesMax: number;
  /** Of a new account. */
  nonceOf(account: Account): bigint;
}

const KINDS: Record<"preferences" | "keystore", Kind> = {
  preferences: {
    path: "/api/user/preferences",
    table: "user_preferences",
    bytesMax: 2 * KIB,
    nonceOf: ({ user }) => user.preferences_version_nonce,
  },
  keystore: {
    path: "/api/user/keystore",
    table: "user_keystores",
    bytesMax: 3 * MIB,
    nonceOf: ({ user }) => user.user_keystore_version_nonce,
  },
};

const put = (account: Account, { path }: Kind, update: EncryptedBlobUpdate) =>
  account.client.call("PUT", path, { request: [EncryptedBlobUpdate, update], headers: account.headers() });

async function stored({ user }: Account, { table }: Kind) {
  const [row] = await server.db`
    select encrypted_blob, version_nonce from ${server.db(table)}
    where user_id = (select id from users where email = ${user.email})`;
  return { blob: Buffer.from(row?.encrypted_blob ?? "").toString("hex"), nonce: row?.version_nonce };
}

const ROWS = ENCODINGS.flatMap((encoding) => [
  { name: "8.4: PUT user/preferences", encoding, kind: KINDS.preferences },
  { name: "8.5: PUT user/keystore", encoding, kind: KINDS.keystore },
]);

describe.each(ROWS)("$name, in $encoding", ({ encoding, kind }) => {
  const signUp = () => server.signUp(newUser(), encoding);
  const hex = (blob: Uint8Array) => Buffer.from(blob).toString("hex");

  test("with the right expected nonce blob and nonce change, and the next sign-in gets them", async () => {
    const account = await signUp();
    const encrypted_blob = randomBytes(100);
    const expected_previous_version_nonce = kind.nonceOf(account);
    expectEmptyOk(await put(account, kind, { encrypted_blob, version_nonce: 77n, expected_previous_version_nonce }));
    expect(await stored(account, kind)).toEqual({ blob: hex(encrypted_blob), nonce: 77n });

    const { signinToken, otp } = await signInAgain(server, account.user);
    const session = granted(await account.client.verifyOtp(signinToken, otp));
    const [blob, nonce] =
      kind === KINDS.keystore
        ? [session.user_keystore_encrypted, session.user_keystore_version_nonce]
        : [session.preferences_encrypted, session.preferences_version_nonce];
    expect({ blob: hex(blob), nonce }).toEqual({ blob: hex(encrypted_blob), nonce: 77n });
  });

  test("with a wrong expected nonce it is OUT_OF_DATE and nothing changes", async () => {
    const account = await signUp();
    const before = await stored(account, kind);
    for (const wrong of [0n, 1n, kind.nonceOf(account) - 1n]) {
      const update = { encrypted_blob: randomBytes(10), version_nonce: 5n, expected_previous_version_nonce: wrong };
      expectError(await put(account, kind, update), "OUT_OF_DATE");
    }
    expect(await stored(account, kind)).toEqual(before);
  });

  test("nonces are any int64, and the new one may equal the old one", async () => {
    const account = await signUp();
    let expected_previous_version_nonce = kind.nonceOf(account);
    for (const version_nonce of [INT64_MIN, INT64_MIN, INT64_MAX, 0n, -1n, 2n ** 53n + 1n, 2n ** 53n]) {
      const encrypted_blob = randomBytes(10);
      expectEmptyOk(await put(account, kind, { encrypted_blob, version_nonce, expected_previous_version_nonce }));
      expect(await stored(account, kind)).toEqual({ blob: hex(encrypted_blob), nonce: version_nonce });
      expected_previous_version_nonce = version_nonce;
    }
    // Neighbours that a double could not tell apart.
    const near = {
      encrypted_blob: randomBytes(10),
      version_nonce: 1n,
      expected_previous_version_nonce: 2n ** 53n + 1n,
    };
    expectError(await put(account, kind, near), "OUT_OF_DATE");
  });

  test("exactly the limit passes, as does nothing at all; one byte more is 413 INPUT_TOO_LARGE", async () => {
    const account = await signUp();
    const nonce = kind.nonceOf(account);
    const update = (bytes: number) => ({
      encrypted_blob: randomBytes(bytes),
      version_nonce: nonce,
      expected_previous_version_nonce: nonce,
    });
    expectEmptyOk(await put(account, kind, update(0)));
    const largest = update(kind.bytesMax);
    expectEmptyOk(await put(account, kind, largest));
    expectError(await put(account, kind, update(kind.bytesMax + 1)), "INPUT_TOO_LARGE");
    const stale = { ...update(kind.bytesMax + 1), expected_previous_version_nonce: 12n };
    expectError(await put(account, kind, stale), "INPUT_TOO_LARGE");
    expect((await stored(account, kind)).blob === hex(largest.encrypted_blob)).toBe(true);
  });

  test("W16: a body far over the limit is 413 PREHANDLER before it is read to its end", async () => {
    const account = await signUp();
    const nonce = kind.nonceOf(account);
    const encrypted_blob = randomBytes(kind.bytesMax * 2 + 2 * MIB);
    const update = { encrypted_blob, version_nonce: nonce, expected_previous_version_nonce: nonce };
    expectError(await put(account, kind, update), "PREHANDLER", 413);
  });

  test("C6: of several changes at once with one expected nonce exactly one wins, the others are OUT_OF_DATE", async () => {
    const account = await signUp();
    const expected_previous_version_nonce = kind.nonceOf(account);
    const updates = Array.from({ length: 10 }, (_, index) => ({
      encrypted_blob: randomBytes(30),
      version_nonce: BigInt(index) + 100n,
      expected_previous_version_nonce,
    }));
    const answers = await Promise.all(updates.map((update) => put(account, kind, update)));
    expect(countByStatus(answers)).toEqual({ "200": 1, "400 OUT_OF_DATE": 9 });
    const winner = updates[answers.findIndex(({ status }) => status === 200)];
    const expected = { blob: hex(winner?.encrypted_blob ?? Buffer.alloc(0)), nonce: winner?.version_nonce };
    expect(await stored(account, kind)).toEqual(expected);
  });

  test("one account's change leaves another's blob alone", async () => {
    const [ann, ben] = [await signUp(), await signUp()];
    const before = await stored(ben, kind);
    const nonce = kind.nonceOf(ann);
    const update = { encrypted_blob: randomBytes(9), version_nonce: nonce, expected_previous_version_nonce: nonce };
    expectEmptyOk(await put(ann, kind, update));
    expect(await stored(ben, kind)).toEqual(before);
  });

  test("C16: of an account that is gone it is TOKEN_EXPIRED", async () => {
    const account = await signUp();
    await server.db`delete from users where email = ${account.user.email}`;
    const nonce = kind.nonceOf(account);
    const update = { encrypted_blob: randomBytes(9), version_nonce: nonce, expected_previous_version_nonce: nonce };
    expectError(await put(account, kind, update), "TOKEN_EXPIRED");
  });
});

describe("a large keystore", () => {
  test.each([...ENCODINGS])(
    "8.5: of 20 MiB is stored and comes back with the next sign-in, in %s",
    async (encoding) => {
      const usual = await startTestServer({}, server.database);
      const account = await usual.signUp(newUser(), encoding);
      const encrypted_blob = randomBytes(20 * MIB);
      const expected_previous_version_nonce = KINDS.keystore.nonceOf(account);
      const update = { encrypted_blob, version_nonce: 3n, expected_previous_version_nonce };
      expectEmptyOk(await put(account, KINDS.keystore, update));

      const { signinToken, otp } = await signInAgain(usual, account.user);
      const session = granted(await account.client.verifyOtp(signinToken, otp));
      expect(encrypted_blob.equals(session.user_keystore_encrypted)).toBe(true);
      expect(session.user_keystore_version_nonce).toBe(3n);
      await usual.stop();
    },
  );

  test.each([...ENCODINGS])(
    "W16: the operator's limit for bodies holds for keystores as well, in %s",
    async (encoding) => {
      const small = await startTestServer({ ENTRIES_PROTOBUF_MAX_SIZE_MB: "2" }, server.database);
      const account = await small.signUp(newUser(), encoding);
      const nonce = KINDS.keystore.nonceOf(account);
      const update = (bytes: number) => ({
        encrypted_blob: randomBytes(bytes),
        version_nonce: nonce,
        expected_previous_version_nonce: nonce,
      });
      expectEmptyOk(await put(account, KINDS.keystore, update(MIB)));
      expectError(await put(account, KINDS.keystore, update(2 * MIB)), "PREHANDLER", 413);
      await small.stop();
    },
  );

  test("8.4: preferences that the operator allows to be large fit into a body, also in base64", async () => {
    const large = await startTestServer({ ENTRIES_MAX_USER_PREFERENCES_SIZE_KB: "4096" }, server.database);
    for (const encoding of ENCODINGS) {
      const account = await large.signUp(newUser(), encoding);
      const nonce = KINDS.preferences.nonceOf(account);
      const encrypted_blob = randomBytes(4 * MIB);
      const update = { encrypted_blob, version_nonce: nonce, expected_previous_version_nonce: nonce };
      expectEmptyOk(await put(account, KINDS.preferences, update));
    }
    await large.stop();
  });
});

test("8.4, 8.5: each change is one statement, won or lost", async () => {
  const watched = watchStatements(server.database);
  const counted = await startTestServer(LIMITS, watched.database);
  const account = await counted.signUp();
  for (const kind of Object.values(KINDS)) {
    for (const expected_previous_version_nonce of [kind.nonceOf(account), 12n]) {
      watched.take();
      await put(account, kind, { encrypted_blob: randomBytes(9), version_nonce: 4n, expected_previous_version_nonce });
      expect(watched.take()).toHaveLength(1);
    }
  }
  await counted.stop();
});
