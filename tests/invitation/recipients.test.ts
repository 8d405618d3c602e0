/** Whom an invitation reaches (containers.md 5.1; decisions A2, C4, C5, W8, W10). */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { phonyPublicKey } from "../../src/crypto/phonyPublicKey.ts";
import { wrapForRecipient } from "../../src/crypto/wrapForRecipient.ts";
import type { ErrorType } from "../../src/errors.ts";
import type { UserInvitationToContainer } from "../../src/invitation/messages.ts";
import type { Encoding } from "../../src/wire/negotiation.ts";
import { createUnverified } from "../support/accounts.ts";
import type { Box } from "../support/client.ts";
import { ENCODINGS, expectError } from "../support/containerCalls.ts";
import { expectUnchanged } from "../support/containerRows.ts";
import {
  type Guest,
  invite,
  inviteAndUnwrap,
  listPending,
  newInvitation,
  postInvitation,
  signUpGuest,
} from "../support/invitations.ts";
import { rsaRecipient } from "../support/recipientKeys.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

let server: TestServer;
let senders: Record<Encoding, Guest>;
let ben: Guest;
beforeAll(async () => {
  server = await startTestServer();
  senders = { protobuf: await signUpGuest(server), json: await signUpGuest(server, undefined, "json") };
  ben = await signUpGuest(server);
});
afterAll(() => server.stop());

const unknownAddress = () => `nobody-${randomBytes(6).toString("hex")}@example.com`;

describe.each([...ENCODINGS])("the recipient, in %s", (encoding) => {
  let ann: Guest;
  let box: Box;
  beforeAll(async () => {
    ann = senders[encoding];
    box = await ann.createContainer();
  });

  const refused = (overrides: Partial<UserInvitationToContainer>, type: ErrorType) =>
    expectUnchanged(server.db, async () => {
      const { invitation } = newInvitation(server, ben.user.email, overrides);
      expectError(await postInvitation(ann, box, invitation), type);
    });

  test.each([
    "",
    "x",
    "a@b",
    "a@b.",
    "a@.bc",
    "@b.cd",
    "a@b@c.de",
    "a b@example.com",
    "ä@example.com",
    "a\n@ö.de",
    `${"a".repeat(244)}@example.com`,
  ])("5.1, 11, W8: the address %p is INCORRECTLY_FORMED", (recipient_user_email) =>
    refused({ recipient_user_email }, "INCORRECTLY_FORMED"),
  );

  test("W10: the address is looked up in lower case, and stored so", async () => {
    const { id } = await invite(server, ann, box, { user: { email: ben.user.email.toUpperCase() } });
    const [row] = await server.db`select recipient_user_email from container_share_invites where id = ${id}`;
    expect(row?.recipient_user_email).toBe(ben.user.email);
  });

  test("W10: an address that would be refused today still receives", async () => {
    const guest = await signUpGuest(server);
    const email = `"<old>'s"-${randomBytes(4).toString("hex")}@example.com`;
    await server.db`update users set email = ${email} where email = ${guest.user.email}`;
    await invite(server, ann, box, { user: { email } });
    expect(await listPending(guest)).toHaveLength(1);
  });

  test("5.1, A2: one's own present address is INVALID_STATE, in any letter case; a former one is nobody's", async () => {
    const moved = await signUpGuest(server, undefined, encoding);
    const own = await moved.createContainer();
    const former = moved.user.email;
    const email = unknownAddress();
    await server.db`update users set email = ${email} where email = ${former}`;
    await expectUnchanged(server.db, async () => {
      for (const address of [email, email.toUpperCase()]) {
        expectError(await postInvitation(moved, own, newInvitation(server, address).invitation), "INVALID_STATE");
      }
      expectError(await postInvitation(moved, own, newInvitation(server, former).invitation), "USER_DOES_NOT_EXIST");
    });
  });

  test("5.1, C4: an address without account is USER_DOES_NOT_EXIST, after wrapping for a phony key", async () => {
    await refused({ recipient_user_email: unknownAddress() }, "USER_DOES_NOT_EXIST");
    // Were that key of no use, the answer would be INCORRECTLY_FORMED.
    const phony = phonyPublicKey(server.services.keys.phony, unknownAddress());
    expect(await wrapForRecipient(phony.value, "acceptPrivateKey", randomBytes(32))).toHaveLength(384);
  });

  test("5.1: an unverified account can be invited", async () => {
    const { user } = await createUnverified(server, { public_key: ben.keys.publicKey });
    await invite(server, ann, box, { user });
  });

  test("5.1: a stored key that is no RSA SubjectPublicKeyInfo is INCORRECTLY_FORMED (the reference stored any)", async () => {
    const guest = await signUpGuest(server);
    const { publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    for (const key of [
      generateKeyPairSync("ed25519").publicKey.export({ format: "der", type: "spki" }),
      publicKey.export({ format: "der", type: "pkcs1" }),
      Buffer.from(publicKey.export({ format: "pem", type: "spki" })),
      randomBytes(40),
    ]) {
      await server.db`update users set public_key = ${key} where email = ${guest.user.email}`;
      await refused({ recipient_user_email: guest.user.email }, "INCORRECTLY_FORMED");
    }
  });

  test("5.1: a stored RSA key of 512 bits still receives (the reference took any size)", async () => {
    const keys = rsaRecipient(512);
    const guest = Object.assign(await signUpGuest(server), { keys });
    await server.db`update users set public_key = ${Buffer.from(keys.publicKey)} where email = ${guest.user.email}`;
    const { sent, received } = await inviteAndUnwrap(server, ann, box, guest);
    expect(received.accept_key_id).toBe(sent.accept_key_id);
  });
});
