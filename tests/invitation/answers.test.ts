/** Listing, declining and retracting (containers.md 5.2, 5.4, 5.5, 5.7; new-messages.md Retract). */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import type { ErrorType } from "../../src/errors.ts";
import type { Encoding } from "../../src/wire/negotiation.ts";
import { tampered, userIdOf } from "../support/accounts.ts";
import type { Box, Device } from "../support/client.ts";
import { anyDevice, ENCODINGS, expectEmptyOk, expectError } from "../support/containerCalls.ts";
import { expectUnchanged } from "../support/containerRows.ts";
import {
  acceptToken,
  type Guest,
  getPending,
  invite,
  inviteAndUnwrap,
  listPending,
  mustAccept,
  putAccept,
  putDecline,
  type ReceivedInvitation,
  retract,
  type SentInvitation,
  secsFrom,
  senderToken,
  signUpGuest,
} from "../support/invitations.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

let server: TestServer;
let ann: Guest;
let guests: Record<Encoding, Guest>;
beforeAll(async () => {
  server = await startTestServer();
  ann = await signUpGuest(server);
  guests = { protobuf: await signUpGuest(server), json: await signUpGuest(server, undefined, "json") };
});
afterAll(() => server.stop());

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

/** Which of an invitation's two rows are there. */
async function rowsOf({ id, accept_key_id }: SentInvitation) {
  const invitations = await server.db`select from container_share_invites where id = ${id}`;
  const acceptKeys = await server.db`select from container_accept_keys where key_id = ${accept_key_id}`;
  return { invitation: invitations.count === 1, acceptKey: acceptKeys.count === 1 };
}

async function expire({ accept_key_id }: SentInvitation): Promise<void> {
  await server.db`
    update container_accept_keys set expiration = timezone('utc', now()) - interval '1 second'
    where key_id = ${accept_key_id}`;
}

describe.each([...ENCODINGS])("an answered invitation, in %s", (encoding) => {
  let ben: Guest;
  let box: Box;
  let sent: SentInvitation;
  let received: ReceivedInvitation;
  beforeEach(async () => {
    ben = guests[encoding];
    await server.db`delete from container_share_invites`;
    box = await ann.createContainer();
    ({ sent, received } = await inviteAndUnwrap(server, ann, box, ben));
  });

  const notDeclined = (token: string, type: ErrorType, by: Device = ben) =>
    expectUnchanged(server.db, async () => expectError(await putDecline(by, token), type));
  const notRetracted = (token: string, type: ErrorType) =>
    expectUnchanged(server.db, async () => expectError(await retract(ann, token), type));

  test("5.4, 11: declining with a damaged signature is INCORRECT_CREDENTIAL; then 200, the list is empty, both rows are gone", async () => {
    await notDeclined(tampered(acceptToken(received)), "INCORRECT_CREDENTIAL");
    expectEmptyOk(await putDecline(ben, acceptToken(received)));
    expect(await listPending(ben)).toEqual([]);
    expect(await rowsOf(sent)).toEqual({ invitation: false, acceptKey: false });
    await notDeclined(acceptToken(received), "INVITATION_DOES_NOT_EXIST");
    expectError(await putAccept(ben, acceptToken(received)), "INVITATION_DOES_NOT_EXIST");
  });

  test("5.4: an invitation whose time is up can be declined, though not accepted", async () => {
    await expire(sent);
    await notDeclined(tampered(acceptToken(received)), "INCORRECT_CREDENTIAL");
    expectError(await putAccept(ben, acceptToken(received)), "OUT_OF_DATE");
    expectEmptyOk(await putDecline(ben, acceptToken(received)));
    expect(await rowsOf(sent)).toEqual({ invitation: false, acceptKey: false });
  });

  test("5.4: an expired token does not decline", async () => {
    await notDeclined(acceptToken(received, { exp: secsFrom(server, 0) }), "TOKEN_EXPIRED");
    expect((await putDecline(ben, acceptToken(received, { exp: secsFrom(server, 0) + 60 }))).status).toBe(200);
  });

  test("5.4, 7: someone else's, an unknown and a retracted one are INVITATION_DOES_NOT_EXIST, and nothing is removed", async () => {
    await notDeclined(acceptToken(received), "INVITATION_DOES_NOT_EXIST", ann);
    await notDeclined(acceptToken(received, { iid: crypto.randomUUID() }), "INVITATION_DOES_NOT_EXIST");
    await notDeclined(acceptToken(received, { kid: crypto.randomUUID() }), "INVITATION_DOES_NOT_EXIST");
    await notDeclined(acceptToken(received, { cid: crypto.randomUUID() }), "INVITATION_DOES_NOT_EXIST");
    expectEmptyOk(await retract(ann, senderToken(sent)));
    await notDeclined(acceptToken(received), "INVITATION_DOES_NOT_EXIST");
  });

  test("5.4, A2: after a change of address the same access token declines; of an account that is gone it is TOKEN_EXPIRED", async () => {
    const guest = await signUpGuest(server, undefined, encoding);
    const [first, second] = [
      await inviteAndUnwrap(server, ann, box, guest),
      await inviteAndUnwrap(server, ann, box, guest),
    ];
    const email = `new-${guest.user.email}`;
    await server.db`update users set email = ${email} where email = ${guest.user.email}`;
    expectEmptyOk(await putDecline(guest, acceptToken(first.received)));
    await server.db`delete from users where email = ${email}`;
    await notDeclined(acceptToken(second.received), "TOKEN_EXPIRED", guest);
    // 5.7: the invitations of a deleted account go, their accept keys stay.
    expect(await rowsOf(second.sent)).toEqual({ invitation: false, acceptKey: true });
  });

  test.each(["decline", "retract"] as const)("5.2, 5.4: %s does not look at a body", async (what) => {
    const token: Record<string, string> =
      what === "decline"
        ? { "x-container-accept-token": acceptToken(received) }
        : { "x-container-invite-sender-token": senderToken(sent) };
    const path = what === "decline" ? "/decline" : "";
    const response = await server.app.handle(
      new Request(`http://localhost/api/container/invitation${path}`, {
        method: what === "decline" ? "PUT" : "DELETE",
        headers: { ...ben.headers(), ...token, "content-type": "text/plain" },
        body: "no message at all",
      }),
    );
    expect(response.status).toBe(200);
    expect((await rowsOf(sent)).invitation).toBe(false);
  });

  test("5.2, 11: retracting is 200 and empties the recipient's list; 5.7: the accept key stays", async () => {
    await notRetracted(tampered(senderToken(sent)), "INCORRECT_CREDENTIAL");
    await notRetracted(senderToken(sent, { exp: secsFrom(server, 0) }), "TOKEN_EXPIRED");
    expectEmptyOk(await retract(ann, senderToken(sent)));
    expect(await listPending(ben)).toEqual([]);
    expect(await rowsOf(sent)).toEqual({ invitation: false, acceptKey: true });
    await notRetracted(senderToken(sent), "INVITATION_DOES_NOT_EXIST");
  });

  test("5.2: unknown, accepted and declined invitations are INVITATION_DOES_NOT_EXIST for their sender", async () => {
    await notRetracted(senderToken({ ...sent, id: crypto.randomUUID() }), "INVITATION_DOES_NOT_EXIST");
    await mustAccept(ben, received);
    await notRetracted(senderToken(sent), "INVITATION_DOES_NOT_EXIST");
    const other = await inviteAndUnwrap(server, ann, box, ben);
    expectEmptyOk(await putDecline(ben, acceptToken(other.received)));
    await notRetracted(senderToken(other.sent), "INVITATION_DOES_NOT_EXIST");
  });

  test("5.2: whoever has the sender's key may retract, member or not, account or not; another key may not", async () => {
    const { privateKey: senderKey } = generateKeyPairSync("ed25519");
    await notRetracted(senderToken({ ...sent, senderKey }), "INCORRECT_CREDENTIAL");
    expectEmptyOk(await retract(anyDevice(server, encoding), senderToken(sent)));
    expect((await rowsOf(sent)).invitation).toBe(false);
  });

  test("Retract, C3: with the claim kid the accept key goes as well, and with it every use of it", async () => {
    const other = await inviteAndUnwrap(server, ann, box, ben);
    expectEmptyOk(await retract(ann, senderToken(sent, { kid: sent.accept_key_id })));
    expect(await rowsOf(sent)).toEqual({ invitation: false, acceptKey: false });
    expect(await rowsOf(other.sent)).toEqual({ invitation: true, acceptKey: true });
    const stolen = acceptToken(received, { iid: other.received.id });
    expectError(await putAccept(ben, stolen), "INVITATION_DOES_NOT_EXIST");
    await mustAccept(ben, other.received);
  });

  test("Retract: an unknown kid is nothing to say about; a kid that is no UUID is INCORRECT_CREDENTIAL", async () => {
    for (const kid of ["x", "", 7, null]) await notRetracted(senderToken(sent, { kid }), "INCORRECT_CREDENTIAL");
    expectEmptyOk(await retract(ann, senderToken(sent, { kid: crypto.randomUUID() })));
    expect(await rowsOf(sent)).toEqual({ invitation: false, acceptKey: true });
  });

  test("Retract: a kid without the right to its invitation kills no accept key", async () => {
    const stranger = { ...sent, senderKey: generateKeyPairSync("ed25519").privateKey };
    await notRetracted(senderToken(stranger, { kid: sent.accept_key_id }), "INCORRECT_CREDENTIAL");
    expect(await rowsOf(sent)).toEqual({ invitation: true, acceptKey: true });
  });
});

describe.each([...ENCODINGS])("the list of invitations, in %s", (encoding) => {
  let ben: Guest;
  beforeEach(async () => {
    ben = await signUpGuest(server, undefined, encoding);
  });

  test("5.5: without any it is 200 with an empty list", async () => {
    const response = await server.app.handle(
      new Request("http://localhost/api/container/invitation/all-pending", {
        headers: { ...ben.headers(), accept: `application/${encoding}` },
      }),
    );
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe(`application/${encoding}`);
    expect(await response.text()).toBe(encoding === "json" ? '{"invites":[]}' : "");
  });

  test("5.5, W4: all of the recipient's, by id, those whose time is up included, nobody else's", async () => {
    const box = await ann.createContainer();
    const sent: SentInvitation[] = [];
    for (let count = 0; count < 6; count++) sent.push(await invite(server, ann, box, ben));
    await invite(server, ann, box, guests[encoding]);
    const [expired] = sent;
    if (!expired) throw new Error("none was sent");
    await expire(expired);
    expect((await listPending(ben)).map(({ id }) => id)).toEqual(sent.map(({ id }) => id).sort());
  });

  test("5.5: what the sender gave is there, but neither its public key nor the encryption key", async () => {
    const { id, invitation } = await invite(server, ann, await ann.createContainer(), ben);
    const answer = await getPending(ben);
    const [listed] = answer.value?.invites ?? [];
    expect(Object.keys(listed ?? {}).sort()).toEqual([
      "container_accept_key_encrypted",
      "container_accept_key_id_encrypted",
      "container_accept_key_info_encrypted",
      "container_info_encrypted",
      "id",
      "recipient_public_key_id_used_by_sender",
      "recipient_public_key_id_used_by_server",
      "sender_info_encrypted",
      "share_info_symmetric_key_encrypted",
    ]);
    expect(listed).toMatchObject({
      id,
      recipient_public_key_id_used_by_sender: invitation.recipient_public_key_id_used_by_sender,
      recipient_public_key_id_used_by_server: ben.user.public_key_id,
    });
    for (const field of [
      "container_info_encrypted",
      "sender_info_encrypted",
      "share_info_symmetric_key_encrypted",
    ] as const) {
      expect(hex(listed?.[field] ?? new Uint8Array(0))).toBe(hex(invitation[field]));
    }
  });

  test("5.3, A2: it follows the account to a new address", async () => {
    const { id } = await invite(server, ann, await ann.createContainer(), ben);
    await server.db`update users set email = ${`new-${ben.user.email}`} where email = ${ben.user.email}`;
    expect((await listPending(ben)).map((pending) => pending.id)).toEqual([id]);
  });

  test("of an account that is gone the access token is TOKEN_EXPIRED", async () => {
    await server.db`delete from users where id = ${await userIdOf(server, ben.user)}`;
    expectError(await getPending(ben), "TOKEN_EXPIRED");
  });
});
