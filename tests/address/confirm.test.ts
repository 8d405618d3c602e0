/** The page behind the link of an address change: GET shows, POST changes (decision A10, new-messages.md "Pages"). */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { overloaded } from "../../src/errors.ts";
import {
  createUnverified,
  granted,
  referenceToken,
  refreshed,
  secondDevice,
  signInAgain,
  tampered,
  userIdOf,
  verdictOn,
} from "../support/accounts.ts";
import { expectEmptyOk, expectError } from "../support/containerCalls.ts";
import { expectUnchanged } from "../support/containerRows.ts";
import { someoneWaits } from "../support/races.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { watchStatements } from "../support/statements.ts";
import {
  addressOf,
  confirm,
  expectChanged,
  freshAddress,
  issueLink,
  linkFor,
  mover,
  open,
  type Seen,
  SUBJECTS,
  subjectsTo,
  TITLES,
  withToken,
} from "./links.ts";

const HOUR_MS = 3_600_000;

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

/** A 400 page with this heading; nothing was changed and nobody got a letter. */
async function expectRefused(title: string, request: () => Promise<Seen>): Promise<void> {
  const letters = server.letters.length;
  await expectUnchanged(server.db, async () => {
    const page = await request();
    expect({ status: page.status, title: page.title }).toEqual({ status: 400, title });
    expect(page.headers.get("content-type")).toBe("text/html; charset=utf-8");
  });
  expect(server.letters.length).toBe(letters);
}

describe("GET /account/email", () => {
  test("A10, S15: shows the new address and a button, and changes nothing, however often a scanner fetches it", async () => {
    const { account, id, new_email, link } = await mover(server);
    await expectUnchanged(server.db, async () => {
      const pages = await Promise.all(Array.from({ length: 5 }, () => open(server, link)));
      for (const page of pages) {
        expect(page.status).toBe(200);
        expect(page.html).toContain(`<p class="address">${new_email}</p>`);
        expect(page.html).toContain('<form method="post"');
        expect(page.html).not.toContain("<script");
        expect(page.html).not.toContain(account.user.email);
      }
    });
    expect(await addressOf(server, id)).toBe(account.user.email);
    expectChanged(await confirm(server, link));
  });

  test("S18: what is in an address is escaped", async () => {
    const account = await server.signUp();
    const strange = `<script>alert("1")</script>'&@example.com`;
    const link = await issueLink(server, account, strange);
    for (const page of [await open(server, link), await confirm(server, link), await open(server, link)]) {
      expect(page.html).not.toContain("<script");
      expect(page.html).not.toContain('alert("1")');
    }
    expect(await addressOf(server, await userIdOf(server, { ...account.user, email: strange }))).toBe(strange);
  });

  test("A11: the padding of the token is read percent-encoded and as it is", async () => {
    const account = await server.signUp();
    const tokens: string[] = [];
    for (const name of ["a", "ab", "abc", "abcd"]) {
      tokens.push((await issueLink(server, account, `${name}@example.com`)).searchParams.get("token") ?? "");
    }
    const padded = tokens.filter((token) => token.endsWith("="));
    expect(padded.length).toBeGreaterThan(0);
    for (const token of padded) {
      for (const text of [token, token.replaceAll("=", "%3D"), token.replaceAll("=", "%3d")]) {
        const page = await server.app.handle(new Request(`http://localhost/account/email?token=${text}`));
        expect(page.status).toBe(200);
      }
    }
  });
});

describe("POST /account/email", () => {
  test("A10: changes the address and nothing else of the account but its epoch", async () => {
    const { account, id, new_email, link } = await mover(server);
    const rowOf = () => server.db`
      select to_jsonb(users) - 'email' - 'token_epoch' as rest, token_epoch, email from users where id = ${id}`;
    const [before] = await rowOf();
    expectChanged(await confirm(server, link));
    const [after] = await rowOf();
    expect(after?.email).toBe(new_email);
    expect(after?.rest).toEqual(before?.rest);
    expect(after?.token_epoch).not.toBe(before?.token_epoch);

    expectError(await server.client().signIn(account.user.email, account.user.auth_string), "INCORRECT_CREDENTIAL");
    const { signinToken, otp } = await signInAgain(server, { ...account.user, email: new_email });
    granted(await server.client().verifyOtp(signinToken, otp));
  });

  test("A5, A10: both addresses are told, once, also when the link is confirmed again", async () => {
    const { account, new_email, link } = await mover(server);
    expectChanged(await confirm(server, link));
    const told = () => ({ old: subjectsTo(server, account.user.email).slice(-1), new: subjectsTo(server, new_email) });
    const expected = { old: [SUBJECTS.changed], new: [SUBJECTS.link, SUBJECTS.isYours] };
    expect(told()).toEqual(expected);
    await expectRefused(TITLES.void, () => confirm(server, link));
    await expectRefused(TITLES.void, () => open(server, link));
    expect(told()).toEqual(expected);
  });

  test("A10: sessions live on, in access and refresh token", async () => {
    const { account, link } = await mover(server);
    const other = await secondDevice(server, account);
    expectChanged(await confirm(server, link));
    for (const device of [account, other]) {
      expect(await verdictOn(server.client(), device.accessToken)).toBe("accepted");
      const next = await refreshed(device);
      expect(await verdictOn(server.client(), next.accessToken)).toBe("accepted");
    }
  });

  test("A10: a sign-in that had begun is void: its passcode went to the former address", async () => {
    const { account, link } = await mover(server);
    const { signinToken, otp } = await signInAgain(server, account.user);
    expectChanged(await confirm(server, link));
    expectError(await server.client().verifyOtp(signinToken, otp), "INCORRECT_CREDENTIAL");
    const resend = await server.client().call("POST", "/api/auth/otp/resend-signin-otp", {
      headers: { "x-signin-token": signinToken },
    });
    expectError(resend, "TOKEN_EXPIRED");
  });

  test("A10: passcodes for a change of the account are void as well; a new one goes to the new address", async () => {
    const { account, id, new_email, link } = await mover(server);
    const ask = () => account.client.call("POST", "/api/auth/otp", { headers: account.headers() });
    expectEmptyOk(await ask());
    expectChanged(await confirm(server, link));
    const live = await server.db`select from user_otps where user_id = ${id} and otp_hmac is not null`;
    expect(live).toHaveLength(0);

    expectEmptyOk(await ask());
    expect(server.otpFor(new_email)).toMatch(/^\d{8}$/);
  });

  test("A10: a passcode that is stored while the change waits for it is void as well", async () => {
    const { id, link } = await mover(server);
    let confirmed: Promise<Seen> | undefined;
    await server.db.begin(async (transaction) => {
      await transaction`select from users where id = ${id} for key share`;
      await transaction`
        insert into user_otps (user_id, purpose, otp_hmac, expiration, attempts_left, period_start, sent_in_period)
        values (${id}, 'account-change', ${randomBytes(32)}, now() + interval '1 hour', 5, now(), 1)`;
      confirmed = confirm(server, link);
      await someoneWaits(server.db, 1);
    });
    expect((await confirmed)?.title).toBe(TITLES.changed);
    expect(await server.db`select from user_otps where user_id = ${id} and otp_hmac is not null`).toHaveLength(0);
  });

  test("A10: every other link of the account is void too, for addresses and for its deletion", async () => {
    const account = await server.signUp();
    const [first, last] = [await linkFor(server, account), await linkFor(server, account)];
    const [row] = await server.db`select id, token_epoch from users where email = ${account.user.email}`;
    const expirationSecs = Math.floor(server.services.now() / 1000) + 3600;
    const deletion = { type: "UserDeletion", user_id: row?.id, bound_to: row?.token_epoch, expirationSecs } as const;
    const deletionLink = `http://localhost/account/deletion?token=${encodeURIComponent(server.services.tokens.issue(deletion).text)}`;
    expect((await server.app.handle(new Request(deletionLink))).status).toBe(200);

    expectChanged(await confirm(server, last));
    await expectRefused(TITLES.void, () => open(server, first));
    await expectRefused(TITLES.void, () => confirm(server, first));
    expect((await server.app.handle(new Request(deletionLink))).status).toBe(400);
  });

  test("A10: a link is void once the password was changed", async () => {
    const { id, link } = await mover(server);
    await server.db`update users set token_epoch = gen_random_uuid() where id = ${id}`; // as every such change does
    await expectRefused(TITLES.void, () => open(server, link));
    await expectRefused(TITLES.void, () => confirm(server, link));
  });

  test("S9: a link is void once the account is gone", async () => {
    const { id, link } = await mover(server);
    await server.db`delete from users where id = ${id}`;
    await expectRefused(TITLES.void, () => open(server, link));
    await expectRefused(TITLES.void, () => confirm(server, link));
  });

  test("A10: it lives 24 hours", async () => {
    const { link } = await mover(server);
    server.clock.aheadMs += 24 * HOUR_MS - 5000;
    expect((await open(server, link)).status).toBe(200);
    server.clock.aheadMs += 5000;
    await expectRefused(TITLES.expired, () => open(server, link));
    await expectRefused(TITLES.expired, () => confirm(server, link));
    server.clock.aheadMs = 0;
    expectChanged(await confirm(server, link));
  });

  test("8.10: a token that is missing, damaged or of another kind shows the page of an invalid link", async () => {
    const { account, id, link } = await mover(server);
    const token = link.searchParams.get("token") ?? "";
    const { tokens } = server.services;
    const expirationSecs = Math.floor(server.services.now() / 1000) + 600;
    const [row] = await server.db`select token_epoch from users where id = ${id}`;
    const deletion = tokens.issue({
      type: "UserDeletion",
      user_id: id,
      bound_to: row?.token_epoch,
      expirationSecs,
    }).text;
    const texts = ["", "garbage", tampered(token), token.slice(0, -1), `${token}A`, deletion, account.accessToken];
    for (const text of texts) {
      await expectRefused(TITLES.invalid, () => open(server, withToken(text)));
      await expectRefused(TITLES.invalid, () => confirm(server, withToken(text)));
    }
    await expectRefused(TITLES.invalid, async () => {
      const response = await server.app.handle(new Request(`http://localhost/account/email`));
      const html = await response.text();
      return { status: response.status, headers: response.headers, html, title: /<h1>([^<]*)/.exec(html)?.[1] };
    });
    expectChanged(await confirm(server, link));
  });

  test("A10: a token that names no epoch, as none of ours does, changes nothing", async () => {
    const { account, id } = await mover(server);
    const expirationSecs = Math.floor(server.services.now() / 1000) + 600;
    const ours = server.services.tokens.issue({
      type: "EmailChange",
      user_id: id,
      new_email: freshAddress(),
      expirationSecs,
    });
    const old = referenceToken(server, "EmailChange", { user_id: id, email: account.user.email });
    for (const text of [ours.text, old]) {
      await expectRefused(TITLES.void, () => open(server, withToken(text)));
      await expectRefused(TITLES.void, () => confirm(server, withToken(text)));
    }
  });

  test("P4: where the mail queue is full it is a 503 page and nothing is changed", async () => {
    const { link } = await mover(server);
    const { mailer } = server.services;
    const requireRoom = () => {
      throw overloaded("Too many mails wait.", 30);
    };
    server.services.mailer = { ...mailer, requireRoom };
    await expectUnchanged(server.db, async () => {
      const page = await confirm(server, link);
      expect(page.status).toBe(503);
      expect(page.headers.get("content-type")).toBe("text/html; charset=utf-8");
    });
    server.services.mailer = mailer;
    expectChanged(await confirm(server, link));
  });

  test("C24: the change stands when its notices cannot be sent any more", async () => {
    const { id, new_email, link } = await mover(server);
    const { mailer } = server.services;
    const send = () => {
      throw overloaded("Too many mails wait.", 30);
    };
    server.services.mailer = { ...mailer, send };
    expectChanged(await confirm(server, link));
    server.services.mailer = mailer;
    expect(await addressOf(server, id)).toBe(new_email);
  });

  test("it is one statement, and so is the page", async () => {
    const watched = watchStatements(server.database);
    const counted = await startTestServer({}, watched.database);
    const account = await counted.signUp();
    const link = await linkFor(counted, account);
    for (const step of [open, confirm, confirm]) {
      watched.take();
      await step(counted, link);
      expect(watched.take()).toHaveLength(1);
    }
    await counted.stop();
  });
});

describe("a taken address", () => {
  test("C5, S4: taken since the link was mailed: a 400 page says so and nothing is changed; freed, the link works", async () => {
    const { id, new_email, link } = await mover(server);
    const holder = await server.signUp();
    await server.db`update users set email = ${new_email} where email = ${holder.user.email}`;
    await expectRefused(TITLES.taken, () => confirm(server, link));
    expect((await open(server, link)).status).toBe(200);

    await server.db`delete from users where email = ${new_email}`;
    expectChanged(await confirm(server, link));
    expect(await addressOf(server, id)).toBe(new_email);
  });

  test("S12: an account that never proved the address gives way to the one whose owner confirms from its mailbox", async () => {
    const { id, new_email, link } = await mover(server);
    const squatter = await createUnverified(server, { email: new_email });
    const squatterId = await userIdOf(server, squatter.user);
    await expectRefused(TITLES.taken, () => confirm(server, link)); // its passcode may still come

    server.clock.aheadMs += 11 * 60_000;
    expectChanged(await confirm(server, link));
    expect(await addressOf(server, id)).toBe(new_email);
    expect(await addressOf(server, squatterId)).toBeUndefined();
    server.clock.aheadMs = 0;
  });

  test("C5: an account that proves the address at the same moment keeps it", async () => {
    const { link, new_email } = await mover(server);
    const squatter = await createUnverified(server, { email: new_email });
    const squatterId = await userIdOf(server, squatter.user);
    await server.db`update user_otps set expiration = now()::timestamp - interval '1 minute' where user_id = ${squatterId}`;
    let confirmed: Promise<Seen> | undefined;
    await server.db.begin(async (transaction) => {
      await transaction`update users set verification_deadline = null where id = ${squatterId}`;
      confirmed = confirm(server, link);
      await someoneWaits(server.db, 1);
    });
    expect((await confirmed)?.title).toBe(TITLES.taken);
    expect(await addressOf(server, squatterId)).toBe(new_email);
  });
});
