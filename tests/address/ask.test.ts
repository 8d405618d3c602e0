/** PUT /api/user/email: the password is checked and letters go out, nothing else (accounts.md 8.8, decision A10). */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes, randomUUID } from "node:crypto";
import { overloaded } from "../../src/errors.ts";
import { composeMessage } from "../../src/mail/message.ts";
import { countByStatus, createUnverified, referenceToken, refreshed, userIdOf } from "../support/accounts.ts";
import { Client, comparableHeaders, Device, newUser } from "../support/client.ts";
import { ENCODINGS, expectEmptyOk, expectError } from "../support/containerCalls.ts";
import { expectUnchanged } from "../support/containerRows.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { listen, UNLIMITED } from "../support/socket.ts";
import { watchStatements } from "../support/statements.ts";
import { type Account, addressOf, askFor, freshAddress, linkFor, linkTo, open, SUBJECTS, subjectsTo } from "./links.ts";

const MINUTE_MS = 60_000;

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ ENTRIES_PUBLIC_URL: "https://entries.example.org/base/" });
});
afterAll(() => server.stop());

/** Fails when the request changes a row of the account or sends a letter. */
async function expectNothing(request: () => Promise<void>): Promise<void> {
  const letters = server.letters.length;
  await expectUnchanged(server.db, request);
  expect(server.letters.length).toBe(letters);
}

describe.each([...ENCODINGS])("PUT user/email, in %s", (encoding) => {
  const signUp = (): Promise<Account> => server.signUp(newUser(), encoding);

  test("A10, 8.8: mails a link to the new address and a notice to the old one; nothing changes yet", async () => {
    const account = await signUp();
    const new_email = freshAddress();
    const id = await userIdOf(server, account.user);
    const rowOf = () => server.db`select users::text as row from users where id = ${id}`;
    const [before] = await rowOf();
    expectEmptyOk(await askFor(account, new_email));

    expect((await rowOf())[0]?.row).toBe(before?.row);
    expect(subjectsTo(server, new_email)).toEqual([SUBJECTS.link]);
    expect(subjectsTo(server, account.user.email).at(-1)).toBe(SUBJECTS.asked);
    expect((await open(server, linkTo(server, new_email))).html).toContain(new_email);
  });

  test("A10: the link has the operator's base, its token percent-encoded, in both parts of the letter", async () => {
    const account = await signUp();
    const new_email = freshAddress();
    const link = await linkFor(server, account, new_email);
    const letter = server.letters.findLast(({ to }) => to === new_email);
    expect(link.origin + link.pathname).toBe("https://entries.example.org/base/account/email");
    expect(link.search).toMatch(/^\?token=[A-Za-z0-9_%-]+$/);
    expect(letter?.html).toContain(`<a href="${link.href}" rel="nofollow">`);
    expect(letter?.text).toContain("24 hours");
    expect(letter?.usefulForMs).toBe(24 * 60 * MINUTE_MS);
  });

  test("A2: neither the new address nor the user's id can be read from the link", async () => {
    const account = await signUp();
    const new_email = freshAddress();
    const link = await linkFor(server, account, new_email);
    const token = Buffer.from(link.searchParams.get("token") ?? "", "base64url").toString("latin1");
    expect(token).toContain('"typ":"EmailChange"');
    for (const secret of [new_email, account.user.email, await userIdOf(server, account.user)]) {
      expect(token).not.toContain(secret);
      expect(link.href).not.toContain(secret);
    }
  });

  test("W10: the new address is lower-cased", async () => {
    const account = await signUp();
    const new_email = freshAddress();
    expectEmptyOk(await askFor(account, new_email.toUpperCase()));
    expect((await open(server, linkTo(server, new_email))).html).toContain(new_email);
  });

  test("8.8: a wrong auth string is INCORRECT_CREDENTIAL, also an empty one and one over the limit", async () => {
    const account = await signUp();
    await expectNothing(async () => {
      for (const auth_string of [randomBytes(32), new Uint8Array(0), randomBytes(1025)]) {
        expectError(await askFor(account, freshAddress(), auth_string), "INCORRECT_CREDENTIAL");
      }
    });
  });

  test.each([
    ["empty", ""],
    ["without @", "ann.example.com"],
    ["without a domain", "ann@"],
    ["with @. in it", "ann@.com"],
    ["with a domain that ends in a dot", "ann@example.com."],
    ["with two @", "ann@exam.com@ple.com"],
    ["with a space", "an n@example.com"],
    ["not ASCII", "änn@example.com"],
    ["over 255 characters", `${"a".repeat(244)}@example.com`],
    ["with a line break", "ann\r\nbcc:all@example.com"],
    ["with a tab", "ann\t@example.com"],
    ["with a zero byte", "ann\0@example.com"],
    ["with markup", "<b>ann</b>@example.com"],
    ["with quotes", '"ann"@example.com'],
  ])("4.1, W10: a new address %s is INCORRECTLY_FORMED, before the password is looked at", async (_what, new_email) => {
    const account = await signUp();
    await expectNothing(async () => {
      expectError(await askFor(account, new_email), "INCORRECTLY_FORMED");
      expectError(await askFor(account, new_email, randomBytes(5)), "INCORRECTLY_FORMED");
    });
  });

  test("A10, S4: a taken address and one's own are answered as a free one; their mailbox is told, without a link", async () => {
    const account = await signUp();
    const other = await signUp();
    const free = freshAddress();
    const answers = [];
    for (const new_email of [free, other.user.email, other.user.email.toUpperCase(), account.user.email]) {
      const { status, headers, value, error } = await askFor(account, new_email);
      answers.push({ status, headers: comparableHeaders(headers), value, error });
    }
    expect(answers[0]).toMatchObject({ status: 200, error: undefined });
    for (const answer of answers) expect(answer).toEqual(answers[0] as (typeof answers)[0]);

    expect(subjectsTo(server, other.user.email).slice(-2)).toEqual([SUBJECTS.taken, SUBJECTS.taken]);
    expect(subjectsTo(server, account.user.email).slice(-2)).toEqual([SUBJECTS.taken, SUBJECTS.asked]);
    const taken = server.letters.filter(({ subject }) => subject.startsWith(SUBJECTS.taken));
    for (const { text, html } of taken) expect(text + html).not.toMatch(/token|href|https?:/);
  });

  test("S12: an account that never proved the address holds it only while its passcode may still come", async () => {
    const account = await signUp();
    const { user: pending } = await createUnverified(server);
    expectEmptyOk(await askFor(account, pending.email));
    expect(subjectsTo(server, pending.email).at(-1)).toBe(SUBJECTS.taken);

    server.clock.aheadMs += 11 * MINUTE_MS;
    expectEmptyOk(await askFor(await signUp(), pending.email));
    expect(subjectsTo(server, pending.email).at(-1)).toBe(SUBJECTS.link);
  });

  test("S9: of an account that is gone it is TOKEN_EXPIRED", async () => {
    const account = await signUp();
    await server.db`delete from users where email = ${account.user.email}`;
    await expectNothing(async () => {
      expectError(await askFor(account, freshAddress()), "TOKEN_EXPIRED");
    });
  });

  test("S10: a token of the reference acts on its user's account, whoever has the address in it now", async () => {
    const ann = await signUp();
    const ben = await signUp();
    const user_id = await userIdOf(server, ann.user);
    const token = referenceToken(server, "Access", { user_id, email: ben.user.email });
    const field = Object.assign(new Device(ann.client, token, ""), { user: ann.user });
    const bens = subjectsTo(server, ben.user.email);

    expectError(await askFor(field, freshAddress(), ben.user.auth_string), "INCORRECT_CREDENTIAL");
    const new_email = freshAddress();
    expectEmptyOk(await askFor(field, new_email));
    expect((await open(server, linkTo(server, new_email))).status).toBe(200);
    expect(subjectsTo(server, ann.user.email).at(-1)).toBe(SUBJECTS.asked);
    expect(subjectsTo(server, ben.user.email)).toEqual(bens);
  });
});

describe("limits of PUT user/email", () => {
  /** What one network may guess for one address; from everywhere it may be ten times as many. */
  const FAILURES_MAX = 3;
  const FAR_AWAY = { "x-forwarded-for": "203.0.113.9" };

  /** Over a socket, since a request without one has no network to count by. */
  async function listening(run: (limited: TestServer, client: Client) => Promise<void>): Promise<void> {
    const limits = { ENTRIES_SIGNIN_LIMITER_MAX_PER_PERIOD: String(FAILURES_MAX), ...UNLIMITED };
    const limited = await startTestServer(limits, server.database);
    const { port, stop } = listen(limited);
    await run(limited, new Client(fetch, "protobuf", `http://127.0.0.1:${port}`));
    await stop();
    await limited.stop();
  }

  test("A16, S7: wrong passwords count together with those of sign-in; then the right one is refused too", () =>
    listening(async (limited, client) => {
      const { user, accessToken } = await limited.signUp();
      const account = Object.assign(new Device(client, accessToken, ""), { user });
      expectError(await askFor(account, freshAddress(), randomBytes(32)), "INCORRECT_CREDENTIAL");
      expectEmptyOk(await askFor(account, freshAddress())); // does not count
      expectError(await client.signIn(user.email, randomBytes(32)), "INCORRECT_CREDENTIAL");
      expectError(await askFor(account, freshAddress(), randomBytes(32)), "INCORRECT_CREDENTIAL");
      const letters = limited.letters.length;
      const refused = await askFor(account, freshAddress());
      expectError(refused, "TOO_MANY_ATTEMPTS");
      expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
      expectError(await client.signIn(user.email, user.auth_string), "TOO_MANY_ATTEMPTS");
      expect(limited.letters.length).toBe(letters);

      // A stranger who guesses locks nobody out who is elsewhere.
      const elsewhere = Object.assign(new Device(account.client, accessToken, ""), { user });
      elsewhere.headers = () => ({ "x-access-token": accessToken, ...FAR_AWAY });
      expectEmptyOk(await askFor(elsewhere, freshAddress()));
    }));

  test("A16: guesses that are sent at once are all counted", () =>
    listening(async (limited, client) => {
      const { user, accessToken } = await limited.signUp();
      const account = Object.assign(new Device(client, accessToken, ""), { user });
      const guesses = Array.from({ length: 9 }, () => askFor(account, freshAddress(), randomBytes(32)));
      const expected = { "401 INCORRECT_CREDENTIAL": FAILURES_MAX, "403 TOO_MANY_ATTEMPTS": 9 - FAILURES_MAX };
      expect(countByStatus(await Promise.all(guesses))).toEqual(expected);
    }));

  test("A10: five links are mailed per 15 minutes, then TOO_MANY_ATTEMPTS with Retry-After, after the password only", async () => {
    const account = await server.signUp();
    const answers = await Promise.all(Array.from({ length: 8 }, () => askFor(account, freshAddress())));
    expect(countByStatus(answers)).toEqual({ "200": 5, "403 TOO_MANY_ATTEMPTS": 3 });
    const letters = server.letters.length;
    expectError(await askFor(account, freshAddress(), randomBytes(8)), "INCORRECT_CREDENTIAL");
    const refused = await askFor(account, freshAddress());
    expectError(refused, "TOO_MANY_ATTEMPTS");
    const waitSecs = Number(refused.headers.get("retry-after"));
    expect(waitSecs > 800 && waitSecs <= 900).toBe(true);
    expect(server.letters.length).toBe(letters);

    server.clock.aheadMs += waitSecs * 1000;
    const later = Object.assign(await refreshed(account), { user: account.user });
    expectEmptyOk(await askFor(later, freshAddress()));
  });

  test("P4: where the mail queue is full it is 503, and the mail is not counted", async () => {
    const account = await server.signUp();
    const { mailer } = server.services;
    const requireRoom = () => {
      throw overloaded("full", 30);
    };
    server.services.mailer = { ...mailer, requireRoom };
    await expectNothing(async () => expectError(await askFor(account, freshAddress()), "PREHANDLER", 503));
    server.services.mailer = mailer;
  });
});

describe("secrecy", () => {
  test("P9: the log holds neither addresses nor the link's token", async () => {
    const account = await server.signUp();
    const new_email = freshAddress();
    const link = await linkFor(server, account, new_email);
    await askFor(account, account.user.email);
    await open(server, link);
    const log = server.logLines.join("\n");
    const secrets = [new_email, account.user.email, link.searchParams.get("token") ?? "?"];
    for (const secret of secrets) expect(log.includes(secret)).toBe(false);
  });
});

test("W10: an adopted account whose address no mail can carry can still get a sane one", async () => {
  const account = await server.signUp();
  const id = await userIdOf(server, account.user);
  const strange = `<i>${randomUUID()}</i>@example.com`;
  await server.db`update users set email = ${strange} where id = ${id}`;
  const { mailer } = server.services;
  const sender = { from: { name: "", address: "a@example.org" }, replyTo: { name: "", address: "a@example.org" } };
  server.services.mailer = {
    ...mailer,
    send(letter) {
      composeMessage(letter, "id", sender); // refuses it, as the real one does
      mailer.send(letter);
    },
  };
  const new_email = freshAddress();
  expectEmptyOk(await askFor(account, new_email));
  server.services.mailer = mailer;
  expect(subjectsTo(server, strange)).toEqual([]);
  expect((await open(server, linkTo(server, new_email))).status).toBe(200);
  expect(await addressOf(server, id)).toBe(strange);
});

test("A10: it is two statements and one hash", async () => {
  const watched = watchStatements(server.database);
  const counted = await startTestServer({}, watched.database);
  const account = await counted.signUp();
  for (const new_email of [freshAddress(), account.user.email]) {
    watched.take();
    expectEmptyOk(await askFor(account, new_email));
    expect(watched.take()).toHaveLength(2);
  }
  await counted.stop();
});
