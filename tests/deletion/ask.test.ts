import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { ContainerAccessTokenList } from "../../src/container/messages.ts";
import { VerificationEmailSent } from "../../src/deletion/messages.ts";
import { overloaded } from "../../src/errors.ts";
import { countByStatus, userIdOf } from "../support/accounts.ts";
import { Box } from "../support/client.ts";
import { addKey, ENCODINGS, expectError, speaking } from "../support/containerCalls.ts";
import { expectUnchanged } from "../support/containerRows.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import {
  type Account,
  accountWith,
  askForDeletion,
  cancel,
  DAY_MS,
  isScheduled,
  linkFor,
  listedKeys,
  open,
  TITLES,
  tokensOf,
} from "./steps.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ ENTRIES_OTP_SEND_MAX_PER_PERIOD: "50" });
});
afterAll(() => server.stop());

describe("DELETE /api/user", () => {
  test.each([...ENCODINGS])("8.9: in %s it lists each key, mails a link and schedules nothing", async (encoding) => {
    const { account, boxes } = await accountWith(server, 3);
    const before = server.services.now();
    const answer = await askForDeletion(speaking(encoding, account, server), tokensOf(boxes));

    expect(answer.status).toBe(200);
    expect(answer.value).toEqual({ email_sent: true, email_token_lifetime_hours: 7n * 24n });
    const listed = await listedKeys(server, account);
    expect([...listed.keys()].sort()).toEqual(boxes.map(({ key_id }) => key_id).sort());
    // Lifetime of the link and delay: 7 days each.
    for (const time of listed.values())
      expect(time).toBeWithin(before + 14 * DAY_MS, server.services.now() + 14 * DAY_MS + 1);
    expect(await isScheduled(account)).toBe(false);
    for (const box of boxes) expect((await account.fetch([box.token()])).status).toBe(200);
    expect(server.letters.filter(({ to }) => to === account.user.email).map(({ subject }) => subject)).toEqual([
      "Your one-time passcode for Entries App",
      "Confirm the deletion of your account (Entries App)",
    ]);
  });

  test("8.9: an empty list is fine", async () => {
    const { account } = await accountWith(server, 0);
    expect((await open(server, await linkFor(server, account))).title).toBe(TITLES.asking);
    expect((await listedKeys(server, account)).size).toBe(0);
  });

  test("8.9: a body without Content-Type is 400", async () => {
    const { account } = await accountWith(server, 0);
    const request = new Request("http://localhost/api/user", {
      method: "DELETE",
      headers: account.headers(),
      body: ContainerAccessTokenList.encodeProtobuf({ tokens: [] }),
    });
    expect((await server.app.handle(request)).status).toBe(400);
  });

  test("8.9, W8: more tokens than ENTRIES_MAX_CONTAINERS are INPUT_TOO_LARGE, before anything else is looked at", async () => {
    const strict = await startTestServer({ ENTRIES_MAX_CONTAINERS: "2" }, server.database);
    const account = await strict.signUp();
    const boxes = [await account.createContainer(), await account.createContainer()];
    await expectUnchanged(strict.db, async () => {
      expectError(await askForDeletion(account, [...tokensOf(boxes), "garbage"]), "INPUT_TOO_LARGE");
    });
    expect((await askForDeletion(account, tokensOf(boxes))).status).toBe(200);
    await strict.stop();
  });

  test("8.9: the body may hold as many tokens as ENTRIES_MAX_CONTAINERS allows", async () => {
    const { account, boxes } = await accountWith(server, 1);
    const token = boxes[0]?.token() ?? "";
    for (const encoding of ENCODINGS) {
      const answer = await askForDeletion(speaking(encoding, account, server), Array(5_000).fill(token));
      expect(answer.status).toBe(200);
    }
    const { services } = server;
    expect(5_000 * token.length).toBeGreaterThan(1024 * 1024); // more than other bodies may have
    expect(services.config.containersMax).toBe(5_000);
    expectError(await askForDeletion(account, Array(5_001).fill(token)), "INPUT_TOO_LARGE");
  });

  test("8.9, C23: tokens are refused as everywhere, and nothing is stored or mailed", async () => {
    const { account, boxes } = await accountWith(server, 2);
    const { account: other, boxes: foreign } = await accountWith(server, 1);
    const [one, two] = boxes;
    const [theirs] = foreign;
    if (!one || !two || !theirs) throw new Error("there are too few containers");
    const good = one.token();
    // The same key for another container: (kid, bid) must be a pair.
    const crossed = new Box(two.id, one.key_id, one.privateKey).token();
    const forged = new Box(theirs.id, theirs.key_id, one.privateKey).token();
    const unknown = new Box(crypto.randomUUID(), crypto.randomUUID(), one.privateKey).token();
    const letters = server.letters.length;
    await expectUnchanged(server.db, async () => {
      expectError(await askForDeletion(account, [good, "garbage"]), "INCORRECTLY_FORMED");
      expectError(await askForDeletion(account, [account.accessToken]), "INCORRECTLY_FORMED");
      expectError(await askForDeletion(account, [good, crossed]), "CONTAINER_DOES_NOT_EXIST");
      expectError(await askForDeletion(account, [forged, unknown]), "CONTAINER_DOES_NOT_EXIST");
      expectError(await askForDeletion(account, [good, forged]), "INCORRECT_CREDENTIAL");
      expectError(await askForDeletion(account, [good, two.freshToken(1)]), "TOKEN_EXPIRED");
    });
    expect(server.letters.length).toBe(letters);
    expect((await askForDeletion(other, tokensOf(foreign))).status).toBe(200);
  });

  test("8.9: read-only keys are fine", async () => {
    const { account, boxes } = await accountWith(server, 1);
    const reader = await addKey(server.db, boxes[0] ?? new Box("", "", {} as never), { read_only: true });
    expect((await askForDeletion(account, [reader.token()])).status).toBe(200);
    expect([...(await listedKeys(server, account)).keys()]).toEqual([reader.key_id]);
  });

  test("C12: asking again is fine, the later time counts; so is one token twice, and two tokens of one key", async () => {
    const { account, boxes } = await accountWith(server, 2);
    await linkFor(server, account, tokensOf(boxes));
    const first = await listedKeys(server, account);
    server.clock.aheadMs += DAY_MS / 1000;
    const repeated = [...tokensOf(boxes), ...tokensOf(boxes), ...boxes.map((box) => box.freshToken())];
    await linkFor(server, account, repeated);
    const second = await listedKeys(server, account);
    expect([...second.keys()].sort()).toEqual([...first.keys()].sort());
    for (const [key, time] of second) expect(time).toBeGreaterThan(first.get(key) ?? Number.POSITIVE_INFINITY);

    // A process whose clock is behind does not take time away.
    server.clock.aheadMs -= DAY_MS / 1000;
    await linkFor(server, account, tokensOf(boxes));
    expect(await listedKeys(server, account)).toEqual(second);
  });

  test("C12: requests at once, each with the keys in another order, all succeed", async () => {
    const { account, boxes } = await accountWith(server, 6);
    const orders = boxes.map((_, shift) => [...boxes.slice(shift), ...boxes.slice(0, shift)]);
    const answers = await Promise.all(
      [...orders, ...orders.map((order) => order.toReversed())].map((order) =>
        askForDeletion(account, tokensOf(order)),
      ),
    );
    expect(countByStatus(answers)).toEqual({ "200": 12 });
    expect((await listedKeys(server, account)).size).toBe(6);
  });

  test("A12: two members of a container can both list a key", async () => {
    const { account, boxes } = await accountWith(server, 1);
    const { account: other } = await accountWith(server, 0);
    await linkFor(server, account, tokensOf(boxes));
    await linkFor(server, other, tokensOf(boxes));
    expect((await listedKeys(server, account)).size).toBe(1);
    expect((await listedKeys(server, other)).size).toBe(1);
  });

  test("8.9: a key that was removed since its token was used last is CONTAINER_DOES_NOT_EXIST, and nothing is listed", async () => {
    const { account, boxes } = await accountWith(server, 2);
    const tokens = tokensOf(boxes);
    expect((await account.fetch(tokens)).status).toBe(200); // the process knows key and token now
    await server.db`delete from container_access_keys where key_id = ${boxes[1]?.key_id ?? ""}`;
    const letters = server.letters.length;
    expectError(await askForDeletion(account, tokens), "CONTAINER_DOES_NOT_EXIST");
    expect((await listedKeys(server, account)).size).toBe(0);
    expect(server.letters.length).toBe(letters);
  });

  test("A7: mails with links are limited per account, with Retry-After, and what is over the limit stores nothing", async () => {
    const strict = await startTestServer({}, server.database);
    const account = await strict.signUp();
    const box = await account.createContainer();
    for (let asked = 0; asked < 5; asked++) expect((await askForDeletion(account, [])).status).toBe(200);
    const letters = strict.letters.length;
    await expectUnchanged(strict.db, async () => {
      const refused = await askForDeletion(account, [box.token()]);
      expectError(refused, "TOO_MANY_ATTEMPTS");
      expect(Number(refused.headers.get("retry-after"))).toBeWithin(1, 901);
    });
    expect(strict.letters.length).toBe(letters);
    strict.clock.aheadMs += 16 * 60_000;
    // The access token lives 15 minutes only.
    const { text } = strict.services.tokens.issue({
      type: "Access",
      user_id: await userIdOf(strict, account.user),
      expirationSecs: Math.floor(strict.services.now() / 1000) + 60,
    });
    const answer = await strict.client().call("DELETE", "/api/user", {
      request: [ContainerAccessTokenList, { tokens: [] }],
      response: VerificationEmailSent,
      headers: { "x-access-token": text },
    });
    expect(answer.status).toBe(200);
    await strict.stop();
  });

  test("C24: with a full mail queue nothing is stored: 503", async () => {
    const { account, boxes } = await accountWith(server, 1);
    const { mailer } = server.services;
    server.services.mailer = {
      ...mailer,
      requireRoom() {
        throw overloaded("full", 30);
      },
    };
    await expectUnchanged(server.db, async () => {
      expectError(await askForDeletion(account, tokensOf(boxes)), "PREHANDLER", 503);
    });
    server.services.mailer = mailer;
  });

  /** How much of the time of a request with so many fresh tokens went by at one stretch, without a turn for others. */
  async function longestStretch(account: Account, box: Box, count: number, expirationSecs: number): Promise<number> {
    const tokens = Array.from({ length: count }, (_, index) => box.freshToken(expirationSecs + index));
    let isDone = false;
    const start = performance.now();
    const answer = askForDeletion(account, tokens).finally(() => {
      isDone = true;
    });
    let longest = 0;
    while (!isDone) {
      const turn = performance.now();
      await new Promise((resolve) => setTimeout(resolve, 0));
      longest = Math.max(longest, performance.now() - turn);
    }
    expect((await answer).status).toBe(200);
    return longest / (performance.now() - start);
  }

  test("thousands of fresh tokens keep nobody else waiting: their signatures are verified in small batches", async () => {
    const { account, boxes } = await accountWith(server, 1);
    const shares: number[] = [];
    for (let round = 1; round <= 3; round++) {
      for (const box of boxes) shares.push(await longestStretch(account, box, 5_000, 4e9 + round * 10_000));
    }
    // At one stretch the signatures alone take more than half of the time.
    expect(Math.min(...shares)).toBeLessThan(0.25);
  });
});

test("an account that is gone: TOKEN_EXPIRED everywhere", async () => {
  const { account } = await accountWith(server, 0);
  await server.db`delete from users where email = ${account.user.email}`;
  expectError(await askForDeletion(account, []), "TOKEN_EXPIRED");
  expectError(await cancel(account), "TOKEN_EXPIRED");
  const status = await account.client.call("GET", "/api/user/deletion", { headers: account.headers() });
  expectError(status, "TOKEN_EXPIRED");
});
