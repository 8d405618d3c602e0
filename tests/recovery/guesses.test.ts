import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { overloaded } from "../../src/errors.ts";
import { withService } from "../credential/changes.ts";
import { Client, newUser } from "../support/client.ts";
import { expectEmptyOk, expectError } from "../support/containerCalls.ts";
import { expectUnchanged } from "../support/containerRows.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { listen, UNLIMITED } from "../support/socket.ts";
import { begin, recover, recovery } from "./recoveries.ts";

/** Failures of one address from one network; from everywhere it may have ten times as many. */
const FAILURES_MAX = 4;
const SOME = "198.51.100.7";
const OTHER = "203.0.113.9";

let server: TestServer;
let base: string;
let stopListening: () => Promise<void>;
beforeAll(async () => {
  server = await startTestServer({
    ...UNLIMITED,
    ENTRIES_SIGNIN_LIMITER_MAX_PER_PERIOD: String(FAILURES_MAX),
    ENTRIES_SIGNIN_LIMITER_PERIOD_SECS: "3600",
  });
  const listening = listen(server);
  base = `http://127.0.0.1:${listening.port}`;
  stopListening = listening.stop;
});
afterAll(async () => {
  await stopListening();
  await server.stop();
});

/** A client behind the trusted proxy that this machine is. */
function clientAt(address: string): Client {
  const send = (request: Request) => {
    request.headers.set("x-forwarded-for", address);
    return fetch(request);
  };
  return new Client(send, "protobuf", base);
}

const beginWrongly = (email: string, from = SOME) => begin(clientAt(from), email, randomBytes(33));

describe("A16, S7: guesses of recovery keys", () => {
  test("A16: are counted, for addresses with and without an account; then the right key is refused too", async () => {
    const { user } = await server.signUp();
    for (const email of [user.email, newUser().email]) {
      for (let guess = 0; guess < FAILURES_MAX; guess++) expectError(await beginWrongly(email), "INCORRECT_CREDENTIAL");
      const refused = await begin(clientAt(SOME), email.toUpperCase(), user.recovery_key_auth_hash);
      expectError(refused, "TOO_MANY_ATTEMPTS");
      expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
    }
  });

  test("A16: by a stranger do not lock out the owner, who recovers from elsewhere", async () => {
    const { user } = await server.signUp();
    for (let guess = 0; guess <= FAILURES_MAX; guess++) await beginWrongly(user.email);
    expect((await begin(clientAt(OTHER), user.email, user.recovery_key_auth_hash)).status).toBe(200);
    expectEmptyOk(await recover(clientAt(OTHER), recovery(user)));
  });

  test("A16: share one count with wrong passwords and with wrong keys at the recovery itself, which then changes nothing", async () => {
    const { user } = await server.signUp();
    const client = clientAt(SOME);
    for (let guess = 0; guess < FAILURES_MAX / 2; guess++) {
      const update = recovery(user, { recovery_key_hash_for_recovery_auth: randomBytes(33) });
      expectError(await recover(client, update), "INCORRECT_CREDENTIAL");
      expectError(await client.signIn(user.email, randomBytes(32)), "INCORRECT_CREDENTIAL");
    }
    await expectUnchanged(server.db, async () => {
      expectError(await recover(client, recovery(user)), "TOO_MANY_ATTEMPTS");
      expectError(await begin(client, user.email, user.recovery_key_auth_hash), "TOO_MANY_ATTEMPTS");
    });
    expectError(await client.signIn(user.email, user.auth_string), "TOO_MANY_ATTEMPTS");
  });

  test("A16: that are sent at once cannot slip past the limit", async () => {
    const { user } = await server.signUp();
    const answers = await Promise.all(Array.from({ length: FAILURES_MAX * 2 }, () => beginWrongly(user.email)));
    const checked = answers.filter(({ error }) => error?.err_type === "INCORRECT_CREDENTIAL");
    expect(checked).toHaveLength(FAILURES_MAX);
  });

  test("A16: right keys, and refusals because the server is busy, do not count", async () => {
    const { user } = await server.signUp();
    const verify = async () => {
      throw overloaded("The server is checking too many passwords at the moment.", 5);
    };
    await withService(server, "passwords", { verify }, async () => {
      for (let count = 0; count <= FAILURES_MAX; count++) expect((await beginWrongly(user.email)).status).toBe(503);
    });
    for (let count = 0; count <= FAILURES_MAX; count++) {
      expect((await begin(clientAt(SOME), user.email, user.recovery_key_auth_hash)).status).toBe(200);
    }
  });
});
