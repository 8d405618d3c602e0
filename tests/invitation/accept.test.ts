/** PUT /api/container/invitation/accept (containers.md 5.3; decisions A2, C3, W8, W9, W14). */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import type { ErrorType } from "../../src/errors.ts";
import type { Encoding } from "../../src/wire/negotiation.ts";
import { tampered, userIdOf } from "../support/accounts.ts";
import type { Box, Device } from "../support/client.ts";
import {
  anyDevice,
  ENCODINGS,
  expectEmptyOk,
  expectError,
  getContainers,
  putContainer,
  setReadOnly,
} from "../support/containerCalls.ts";
import { expectUnchanged } from "../support/containerRows.ts";
import {
  acceptToken,
  type Guest,
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

const UUID_V4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

let server: TestServer;
let ann: Guest;
let guests: Record<Encoding, Guest>;
beforeAll(async () => {
  server = await startTestServer();
  ann = await signUpGuest(server);
  guests = {
    protobuf: await signUpGuest(server),
    json: await signUpGuest(server, undefined, "json"),
  };
});
afterAll(() => server.stop());

const hex = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString("hex");

async function membersOf(box: Box): Promise<number> {
  return (await server.db`select from container_access_keys where container_id = ${box.id}`).count;
}

describe.each([...ENCODINGS])("accepting, in %s", (encoding) => {
  let ben: Guest;
  let box: Box;
  let sent: SentInvitation;
  let received: ReceivedInvitation;
  beforeEach(async () => {
    ben = guests[encoding];
    box = await ann.createContainer();
    ({ sent, received } = await inviteAndUnwrap(server, ann, box, ben, { read_only: true }));
  });

  const refused = (token: string, type: ErrorType, publicKey?: Uint8Array, by: Device = ben) =>
    expectUnchanged(server.db, async () => expectError(await putAccept(by, token, publicKey), type));
  const expire = () =>
    server.db`
      update container_accept_keys set expiration = ${new Date(Date.now() - 1000).toISOString()}::text::timestamp
      where key_id = ${received.accept_key_id}`;

  test("11: a damaged signature is refused, then 200 with container, key, read_only; reads, may not write until allowed", async () => {
    await refused(tampered(acceptToken(received)), "INCORRECT_CREDENTIAL");
    await refused(acceptToken(received).slice(0, 10), "INCORRECT_CREDENTIAL");
    const { box: shared, answer } = await mustAccept(ben, received);
    expect(answer).toMatchObject({ container_id: box.id, read_only: true });
    expect(answer.container_access_key_id).toMatch(UUID_V4);
    expect(hex(answer.encryption_key_encrypted)).toBe(hex(sent.invitation.encryption_key_encrypted));
    expect((await getContainers(ben, shared.token())).status).toBe(200);
    expectError(await putContainer(ben, shared), "READ_ONLY_ACCESS");
    await setReadOnly(server.db, shared, false);
    expectEmptyOk(await putContainer(ben, shared));
  });

  test("11, 5.7: it removes the invitation and the accept key, and adds an access key with the flag of the accept key", async () => {
    for (const read_only of [true, false]) {
      const offer = await inviteAndUnwrap(server, ann, box, ben, { read_only });
      const before = await membersOf(box);
      const { box: shared } = await mustAccept(ben, offer.received);
      expect(await membersOf(box)).toBe(before + 1);
      expect(await server.db`select from container_share_invites where id = ${offer.sent.id}`).toHaveLength(0);
      expect(
        await server.db`select from container_accept_keys where key_id = ${offer.sent.accept_key_id}`,
      ).toHaveLength(0);
      const [key] = await server.db`select read_only from container_access_keys where key_id = ${shared.key_id}`;
      expect(key?.read_only).toBe(read_only);
    }
  });

  test("5.3: a second time, with another invitation's id or another's accept key it is INVITATION_DOES_NOT_EXIST", async () => {
    const token = acceptToken(received);
    await mustAccept(ben, received);
    await refused(token, "INVITATION_DOES_NOT_EXIST");
    const other = await inviteAndUnwrap(server, ann, box, ben);
    await refused(acceptToken(other.received, { iid: crypto.randomUUID() }), "INVITATION_DOES_NOT_EXIST");
    await refused(acceptToken(other.received, { iid: received.id }), "INVITATION_DOES_NOT_EXIST");
    await refused(acceptToken(other.received, { kid: received.accept_key_id }), "INVITATION_DOES_NOT_EXIST");
    await refused(acceptToken(other.received, { kid: crypto.randomUUID() }), "INVITATION_DOES_NOT_EXIST");
    const elsewhere = await ann.createContainer();
    await refused(acceptToken(other.received, { cid: elsewhere.id }), "INVITATION_DOES_NOT_EXIST");
  });

  test("5.3, 7: someone else's invitation is INVITATION_DOES_NOT_EXIST, though the token is good", async () => {
    const token = acceptToken(received);
    await refused(token, "INVITATION_DOES_NOT_EXIST", undefined, ann);
    await mustAccept(ben, received);
  });

  test("5.3: an accept key whose time is up is OUT_OF_DATE, before the signature is looked at", async () => {
    await expire();
    await refused(acceptToken(received), "OUT_OF_DATE");
    await refused(tampered(acceptToken(received)), "OUT_OF_DATE");
    await refused(acceptToken(received, { exp: secsFrom(server, 0) }), "OUT_OF_DATE");
    await refused(acceptToken(received, { iid: crypto.randomUUID() }), "OUT_OF_DATE");
    await refused(acceptToken(received), "OUT_OF_DATE", undefined, ann);
  });

  test("5.3: the time of an invitation is up when its microsecond has passed, by the server's clock", async () => {
    const [key] = await server.db<{ expiration: bigint }[]>`
      select expiration from container_accept_keys where key_id = ${received.accept_key_id}`;
    const expirationMs = Number((key?.expiration ?? 0n) / 1000n);
    const late = acceptToken(received, { exp: 4_102_444_800 });
    const { now } = server.services;
    server.clock.aheadMs = expirationMs - Date.now() + 60_000;
    expect(now()).toBeGreaterThan(expirationMs);
    // The access token of the guest has expired by then as well.
    const device = anyDevice(server, encoding);
    await refused(late, "OUT_OF_DATE", undefined, device);
    server.clock.aheadMs = expirationMs - Date.now() - 60_000;
    await refused(late, "TOKEN_EXPIRED", undefined, anyDevice(server, encoding)); // of no account, but in time
    server.clock.aheadMs = 0;
  });

  test("W8, 11: a key over 4096 bytes is INPUT_TOO_LARGE; W9: any other that is no strict Ed25519 key INCORRECTLY_FORMED", async () => {
    const token = acceptToken(received);
    await refused(token, "INPUT_TOO_LARGE", randomBytes(4097));
    for (const bytes of [4096, 1025, 33, 31, 22, 0]) await refused(token, "INCORRECTLY_FORMED", randomBytes(bytes));
    const identity = Buffer.alloc(32);
    identity.writeUInt8(1, 0);
    await refused(token, "INCORRECTLY_FORMED", identity);
    // The token comes first.
    await refused(tampered(token), "INCORRECT_CREDENTIAL", randomBytes(4097));
    // State comes last.
    await refused(token, "INCORRECTLY_FORMED", randomBytes(31), ann);
    await mustAccept(ben, received);
  });

  test("A2: after a change of address the same access token accepts, by the user's id", async () => {
    const guest = await signUpGuest(server, undefined, encoding);
    const offer = await inviteAndUnwrap(server, ann, box, guest);
    const email = `new-${guest.user.email}`;
    await server.db`update users set email = ${email} where email = ${guest.user.email}`;
    expect(await listPending(guest)).toHaveLength(1);
    await mustAccept(guest, offer.received);
  });

  test("A2: who has the address of a moved recipient now does not have the invitations", async () => {
    const guest = await signUpGuest(server, undefined, encoding);
    const offer = await inviteAndUnwrap(server, ann, box, guest);
    const { email } = guest.user;
    await server.db`update users set email = ${`new-${email}`} where email = ${email}`;
    const successor = await signUpGuest(server, undefined, encoding);
    await server.db`update users set email = ${email} where email = ${successor.user.email}`;
    expect(await listPending(successor)).toEqual([]);
    await refused(acceptToken(offer.received), "INVITATION_DOES_NOT_EXIST", undefined, successor);
    await mustAccept(guest, offer.received);
  });

  test("of an account that is gone the access token is TOKEN_EXPIRED", async () => {
    const guest = await signUpGuest(server, undefined, encoding);
    const offer = await inviteAndUnwrap(server, ann, box, guest);
    await server.db`delete from users where id = ${await userIdOf(server, guest.user)}`;
    await refused(acceptToken(offer.received), "TOKEN_EXPIRED", undefined, guest);
  });

  test("5.3: any invitation of the recipient fits any accept key that it holds: the server cannot tell", async () => {
    const other = await inviteAndUnwrap(server, ann, await ann.createContainer(), ben, { read_only: false });
    const { answer } = await mustAccept(ben, { ...received, id: other.received.id });
    expect(answer).toMatchObject({ container_id: box.id, read_only: true });
    expect(hex(answer.encryption_key_encrypted)).toBe(hex(other.sent.invitation.encryption_key_encrypted));
    const second = await mustAccept(ben, { ...other.received, id: received.id });
    expect(second.answer).toMatchObject({ container_id: other.received.container_id, read_only: false });
  });

  test("5.3: of a retracted invitation it is INVITATION_DOES_NOT_EXIST; C3: the accept key's death ends it for all others", async () => {
    const other = await inviteAndUnwrap(server, ann, box, ben);
    expectEmptyOk(await retract(ann, senderToken(sent)));
    await refused(acceptToken(received), "INVITATION_DOES_NOT_EXIST");
    // As in the reference, its accept key is alive and fits the other invitation, unless the sender has killed it.
    expect(await server.db`select from container_accept_keys where key_id = ${sent.accept_key_id}`).toHaveLength(1);
    expectEmptyOk(await retract(ann, senderToken(other.sent, { kid: other.sent.accept_key_id })));
    const third = await inviteAndUnwrap(server, ann, box, ben);
    await refused(acceptToken(other.received, { iid: third.received.id }), "INVITATION_DOES_NOT_EXIST");
    await mustAccept(ben, { ...received, id: third.received.id });
  });

  test("5.7: once the container is deleted it is INVITATION_DOES_NOT_EXIST for accepting and declining", async () => {
    await server.db`delete from containers where id = ${box.id}`;
    expect((await listPending(ben)).some(({ id }) => id === received.id)).toBe(true);
    await refused(acceptToken(received), "INVITATION_DOES_NOT_EXIST");
    await expectUnchanged(server.db, async () => {
      expectError(await putDecline(ben, acceptToken(received)), "INVITATION_DOES_NOT_EXIST");
    });
    await server.db`delete from container_share_invites where id = ${received.id}`;
  });
});
