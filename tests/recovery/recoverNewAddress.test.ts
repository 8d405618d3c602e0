import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { overloaded } from "../../src/errors.ts";
import type { RecoveryKeyAuthAndPasswordUpdate } from "../../src/recovery/messages.ts";
import { noticesTo, shapeOf, storedAccount, withService } from "../credential/changes.ts";
import { granted, userIdOf } from "../support/accounts.ts";
import { newUser } from "../support/client.ts";
import { expectEmptyOk, expectError } from "../support/containerCalls.ts";
import { expectUnchanged } from "../support/containerRows.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { recover, recovery } from "./recoveries.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

/** A recovery that must be refused and must leave everything as it is. */
async function refused(update: RecoveryKeyAuthAndPasswordUpdate, type: Parameters<typeof expectError>[1]) {
  await expectUnchanged(server.db, async () => expectError(await recover(server.client(), update), type));
}

describe("A9, A10: a new address in a recovery", () => {
  const lettersTo = (address: string) => server.letters.filter(({ to }) => to === address);

  test("A10, S11: is not the account's yet: a link goes to it, and both notices to the old one", async () => {
    const { user } = await server.signUp();
    const new_user_email = newUser().email;
    expectEmptyOk(await recover(server.client(), recovery(user, { new_user_email: new_user_email.toUpperCase() })));
    expect((await storedAccount(server, user)).email).toBe(user.email);
    const link = /\/account\/email\?token=([^\s"<]+)/.exec(lettersTo(new_user_email)[0]?.text ?? "");
    const { tokens, now } = server.services;
    const token = tokens.decode(decodeURIComponent(link?.[1] ?? ""));
    expect(tokens.verify(token, "EmailChange", Math.floor(now() / 1000))).toMatchObject({
      user_id: await userIdOf(server, user),
      new_email: new_user_email,
      epoch: (await storedAccount(server, user)).token_epoch,
    });
    expect(noticesTo(server, user.email)).toEqual(["account-recovered"]);
    expect(lettersTo(user.email).map(({ subject }) => subject)).toEqual([
      expect.stringContaining("one-time passcode"),
      expect.stringContaining("was recovered"),
      expect.stringContaining("was asked for"),
    ]);
  });

  test("C5, S4: that is taken gets another letter, and the answer is the same", async () => {
    const { user } = await server.signUp();
    const { user: holder } = await server.signUp();
    const free = await recover(
      server.client(),
      recovery((await server.signUp()).user, { new_user_email: newUser().email }),
    );
    const taken = await recover(server.client(), recovery(user, { new_user_email: holder.email }));
    expect(shapeOf(taken)).toEqual(shapeOf(free));
    expectEmptyOk(taken);
    expect(lettersTo(holder.email)).toHaveLength(2);
    expect(lettersTo(holder.email)[1]?.text).not.toContain("token=");
    expect((await storedAccount(server, user)).email).toBe(user.email);
  });

  test("A10: that is the present one is no change: no link", async () => {
    const { user } = await server.signUp();
    expectEmptyOk(await recover(server.client(), recovery(user, { new_user_email: user.email.toUpperCase() })));
    expect(lettersTo(user.email)).toHaveLength(2);
  });

  test("7.9: a wrong key sends nothing to anybody", async () => {
    const { user } = await server.signUp();
    const new_user_email = newUser().email;
    const wrongKey = { recovery_key_hash_for_recovery_auth: randomBytes(33), new_user_email };
    await refused(recovery(user, wrongKey), "INCORRECT_CREDENTIAL");
    expect(lettersTo(new_user_email)).toEqual([]);
  });

  test("A7: links are limited as passcodes are, so that nobody is flooded; the refused recovery changes nothing", async () => {
    const { user } = await server.signUp();
    const new_user_email = newUser().email;
    let key = user.recovery_key_auth_hash;
    for (let sent = 0; sent < 5; sent++) {
      const update = recovery({ ...user, recovery_key_auth_hash: key }, { new_user_email });
      expectEmptyOk(await recover(server.client(), update));
      key = update.new_recovery_key_auth_hash;
    }
    const sixth = recovery({ ...user, recovery_key_auth_hash: key }, { new_user_email });
    await refused(sixth, "TOO_MANY_ATTEMPTS");
    expect(lettersTo(new_user_email)).toHaveLength(5);
    expectEmptyOk(await recover(server.client(), { ...sixth, new_user_email: undefined }));
  });

  test("C24: a recovery that was made is answered so, even when the link cannot be sent", async () => {
    const { user } = await server.signUp();
    const update = recovery(user, { new_user_email: newUser().email });
    const send = () => {
      throw overloaded("Too many mails wait to be sent.", 30);
    };
    expectEmptyOk(await withService(server, "mailer", { send }, () => recover(server.client(), update)));
    granted(await server.client().signIn(user.email, update.new_auth_string));
    server.services.log.flush();
    expect(server.logLines.join("")).toContain('"a link was not sent"');
  });
});
