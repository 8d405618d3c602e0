import { afterAll, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { availableParallelism } from "node:os";
import type { NewUser } from "../../src/user/messages.ts";
import { countByStatus, createUnverified, granted } from "../support/accounts.ts";
import { Client, newUser } from "../support/client.ts";
import { expectError } from "../support/containerCalls.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { listen, UNLIMITED } from "../support/socket.ts";

setDefaultTimeout(60_000);

/** Failures of one address from one network; from everywhere it may have ten times as many. */
const FAILURES_MAX = 2;
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
    ENTRIES_OTP_SEND_MAX_PER_PERIOD: "1000",
  });
  const { port, stop } = listen(server);
  base = `http://127.0.0.1:${port}`;
  stopListening = stop;
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

const wrongPassword = (email: string, address: string) => clientAt(address).signIn(email, randomBytes(32));

async function exhaust(email: string, address: string): Promise<void> {
  for (let failures = 0; failures < FAILURES_MAX; failures++) {
    expectError(await wrongPassword(email, address), "INCORRECT_CREDENTIAL");
  }
}

describe("failed sign-ins", () => {
  let ann: NewUser;
  beforeEach(async () => {
    ann = (await createUnverified(server)).user;
  });

  test("A16: beyond the limit even the right password is TOO_MANY_ATTEMPTS, with Retry-After", async () => {
    await exhaust(ann.email, SOME);
    const answer = await clientAt(SOME).signIn(ann.email, ann.auth_string);

    expectError(answer, "TOO_MANY_ATTEMPTS");
    const waitSecs = Number(answer.headers.get("retry-after"));
    expect(waitSecs >= 1 && waitSecs <= 2 * 3600).toBe(true);
  });

  test("A16: a stranger elsewhere does not lock the owner out, nor does one address another", async () => {
    const { user: ben } = await createUnverified(server);
    await exhaust(ann.email, SOME);

    expect((await clientAt(OTHER).signIn(ann.email, ann.auth_string)).status).toBe(200);
    expect((await clientAt(SOME).signIn(ben.email, ben.auth_string)).status).toBe(200);
  });

  test("A16: the letter case of the address makes no difference", async () => {
    await exhaust(ann.email.toUpperCase(), SOME);
    expectError(await clientAt(SOME).signIn(ann.email, ann.auth_string), "TOO_MANY_ATTEMPTS");
  });

  test("A16, P5: the addresses of one IPv6 /64 are one client", async () => {
    for (const host of ["1", "ffff:1:2"]) {
      expectError(await wrongPassword(ann.email, `2001:db8:0:7::${host}`), "INCORRECT_CREDENTIAL");
    }
    expectError(await wrongPassword(ann.email, "2001:db8:0:7::9"), "TOO_MANY_ATTEMPTS");
    expectError(await wrongPassword(ann.email, "2001:db8:0:8::9"), "INCORRECT_CREDENTIAL");
  });

  test("A16: successes do not count", async () => {
    for (let rounds = 0; rounds < FAILURES_MAX + 2; rounds++) {
      expect((await clientAt(SOME).signIn(ann.email, ann.auth_string)).status).toBe(200);
    }
    await exhaust(ann.email, SOME);
    expectError(await wrongPassword(ann.email, SOME), "TOO_MANY_ATTEMPTS");
  });

  test("A16: a wrong nonce is no guess and does not count", async () => {
    const { email, auth_string } = ann;
    for (let rounds = 0; rounds < FAILURES_MAX + 2; rounds++) {
      expectError(await clientAt(SOME).signInWith({ email, auth_string, nonce: 0 }), "INCORRECT_NONCE");
    }
    expect((await clientAt(SOME).signIn(email, auth_string)).status).toBe(200);
  });

  test("A16: an unknown address is limited like a known one", async () => {
    const email = `nobody-${randomBytes(6).toString("hex")}@example.com`;
    await exhaust(email, SOME);
    expectError(await wrongPassword(email, SOME), "TOO_MANY_ATTEMPTS");
  });

  test("A16: guesses that are sent at once cannot slip past", async () => {
    const nonces: number[] = [];
    for (let fetches = 0; fetches < 12; fetches++) nonces.push(granted(await clientAt(SOME).nonce(ann.email)).nonce);
    const answers = await Promise.all(
      nonces.map((nonce) => clientAt(SOME).signInWith({ email: ann.email, auth_string: randomBytes(32), nonce })),
    );
    expect(countByStatus(answers)).toEqual({
      "401 INCORRECT_CREDENTIAL": FAILURES_MAX,
      "403 TOO_MANY_ATTEMPTS": 12 - FAILURES_MAX,
    });
  });

  test("A16: from everywhere together an address may have ten times as many failures, and no more", async () => {
    for (let network = 0; network < 10; network++) await exhaust(ann.email, `198.51.100.${100 + network}`);
    const answer = await clientAt(OTHER).signIn(ann.email, ann.auth_string);

    expectError(answer, "TOO_MANY_ATTEMPTS");
    expect(answer.headers.get("retry-after")).toMatch(/^[1-9]\d*$/);
  });
});

describe("a full queue of hashes", () => {
  /** Requests without a client's address share the limit per address, ten times this. */
  const ONE_FAILURE = { ENTRIES_SIGNIN_LIMITER_MAX_PER_PERIOD: "1" };
  const QUEUE_MAX = 1;
  let busy: TestServer;
  beforeAll(async () => {
    busy = await startTestServer({ ...ONE_FAILURE, ENTRIES_HASH_QUEUE_MAX: String(QUEUE_MAX) });
  });
  afterAll(() => busy.stop());

  /** Takes every place at work and in the queue, again and again until it is told to stop. */
  function keepQueueFull(): () => Promise<unknown> {
    const { passwords } = busy.services;
    let isHeld = true;
    const hold = async () => {
      while (isHeld) await passwords.hash(randomBytes(8));
    };
    const holders = Array.from({ length: availableParallelism() + QUEUE_MAX }, hold);
    return () => {
      isHeld = false;
      return Promise.all(holders);
    };
  }

  test("A1, W11: it is 503 with Retry-After and counts as no failure; afterwards all is well", async () => {
    const { user } = await createUnverified(busy);
    const api = busy.client();
    const nonces: number[] = [];
    for (let fetches = 0; fetches < 12; fetches++) nonces.push(granted(await api.nonce(user.email)).nonce);

    const release = keepQueueFull();
    for (const nonce of nonces) {
      const answer = await api.signInWith({ email: user.email, auth_string: randomBytes(32), nonce });
      expectError(answer, "PREHANDLER", 503);
      expect(answer.headers.get("retry-after")).toMatch(/^[1-9]\d*$/);
    }
    await release();
    expect((await api.signIn(user.email, user.auth_string)).status).toBe(200);
  });

  test("A1: a sign-up that finds it full is 503, and the address stays free", async () => {
    const user = newUser();
    const release = keepQueueFull();
    expectError(await busy.client().createUser(user), "PREHANDLER", 503);
    await release();
    expect((await busy.client().createUser(user)).status).toBe(201);
  });
});
