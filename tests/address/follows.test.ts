/** What belongs to an account follows it to its new address (accounts.md S9, S10). */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { granted, referenceToken, sessionsOf, userIdOf } from "../support/accounts.ts";
import { Device } from "../support/client.ts";
import { expectEmptyOk, expectError } from "../support/containerCalls.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { addressOf, askFor, confirm, expectChanged, freshAddress, mover, SUBJECTS, subjectsTo } from "./links.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

describe("S10: what belongs to the account follows the account, not the address in a token", () => {
  /** A has left its address, B has signed up with it; A still has tokens of the reference that name it. */
  async function setScene() {
    const { account: ann, id: annsId, new_email: annsAddress, link } = await mover(server);
    const former = ann.user.email;
    const access = referenceToken(server, "Access", { user_id: annsId, email: former });
    const refresh = referenceToken(server, "Refresh", { user_id: annsId, email: former });
    return { ann: { ...ann, annsId, annsAddress, former, access, refresh }, link };
  }

  async function invite(recipient: string): Promise<string> {
    const id = crypto.randomUUID();
    const blob = randomBytes(8);
    await server.db`
      insert into container_share_invites (
        id, recipient_user_email, sender_public_key, encryption_key_encrypted, container_accept_private_key_encrypted,
        container_info_encrypted, sender_info_encrypted, container_accept_key_info_encrypted,
        container_accept_key_id_encrypted, share_info_symmetric_key_encrypted, recipient_public_key_id_used_by_sender,
        recipient_public_key_id_used_by_server, created_unix_timestamp_intdiv_five_million
      ) values (
        ${id}, ${recipient}, ${blob}, ${blob}, ${blob}, ${blob}, ${blob}, ${blob}, ${blob}, ${blob},
        ${crypto.randomUUID()}, ${crypto.randomUUID()}, 358
      )`;
    return id;
  }

  const recipientOf = async (id: string) => {
    const [row] = await server.db`select recipient_user_email from container_share_invites where id = ${id}`;
    return row?.recipient_user_email;
  };

  test("invitations go along with the account, and the next holder of the address finds none of them", async () => {
    const { ann, link } = await setScene();
    const invitation = await invite(ann.former);
    expectChanged(await confirm(server, link));
    const ben = await server.signUp({ ...ann.user, email: ann.former });
    expect(await recipientOf(invitation)).toBe(ann.annsAddress);
    const bens = await invite(ben.user.email);
    expect(await recipientOf(bens)).toBe(ann.former);
  });

  test("passcodes that A's old tokens ask for go to A; B's passcode is of no use to A", async () => {
    const { ann, link } = await setScene();
    expectChanged(await confirm(server, link));
    const ben = await server.signUp({ ...ann.user, email: ann.former });
    const bensLetters = subjectsTo(server, ben.user.email).length;
    const ask = (token: string) =>
      server.client().call("POST", "/api/auth/otp", { headers: { "x-access-token": token } });
    expectEmptyOk(await ask(ann.access));
    expect(server.otpFor(ann.annsAddress)).toMatch(/^\d{8}$/);
    expect(subjectsTo(server, ben.user.email)).toHaveLength(bensLetters);
  });

  test("the password that A's old tokens are checked against is A's, not that of B", async () => {
    const { ann, link } = await setScene();
    expectChanged(await confirm(server, link));
    const ben = await server.signUp({ ...ann.user, email: ann.former, auth_string: randomBytes(32) });
    const field = Object.assign(new Device(server.client(), ann.access, ann.refresh), { user: ann.user });
    expectError(await askFor(field, freshAddress(), ben.user.auth_string), "INCORRECT_CREDENTIAL");
    const next = freshAddress();
    expectEmptyOk(await askFor(field, next));
    expect(subjectsTo(server, ann.annsAddress).at(-1)).toBe(SUBJECTS.asked);
    expect(await addressOf(server, await userIdOf(server, ben.user))).toBe(ann.former);
  });

  test("S9: a refresh of A's old token makes a session of A's", async () => {
    const { ann, link } = await setScene();
    expectChanged(await confirm(server, link));
    const ben = await server.signUp({ ...ann.user, email: ann.former });
    granted(await server.client().refresh(ann.refresh));
    expect(await sessionsOf(server, { ...ann.user, email: ann.annsAddress })).toHaveLength(2);
    expect(await sessionsOf(server, ben.user)).toHaveLength(1);
  });
});
