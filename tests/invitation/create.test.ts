/** POST /api/container/invitation (containers.md 5.1; decisions C2, C4, C5, W8, W9, W10, W14). */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import type { ErrorType } from "../../src/errors.ts";
import { UserInvitationToContainer } from "../../src/invitation/messages.ts";
import { invitationRoutes } from "../../src/invitation/routes.ts";
import type { Encoding } from "../../src/wire/negotiation.ts";
import { granted, userIdOf } from "../support/accounts.ts";
import type { Box } from "../support/client.ts";
import { addKey, ENCODINGS, expectError, getContainers } from "../support/containerCalls.ts";
import { expectUnchanged } from "../support/containerRows.ts";
import {
  type Guest,
  invite,
  inviteAndUnwrap,
  listPending,
  newInvitation,
  postInvitation,
  secsFrom,
  signUpGuest,
} from "../support/invitations.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const UUID_V4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const KIB = 1024;

let server: TestServer;
let senders: Record<Encoding, Guest>;
let ben: Guest;
beforeAll(async () => {
  server = await startTestServer();
  senders = { protobuf: await signUpGuest(server), json: await signUpGuest(server, undefined, "json") };
  ben = await signUpGuest(server);
});
afterAll(() => server.stop());

const hex = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString("hex");
const unknownAddress = () => `nobody-${randomBytes(6).toString("hex")}@example.com`;
const micros = (secs: number) => BigInt(secs) * 1_000_000n;

describe.each([...ENCODINGS])("inviting, in %s", (encoding) => {
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

  test("5.1, 11: 200 with the invitation's id and, for the sender only, the accept key's; W14: both version 4", async () => {
    const { invitation } = newInvitation(server, ben.user.email);
    const answer = await postInvitation(ann, box, invitation);
    expect(answer.status).toBe(200);
    expect(answer.value?.value).toMatch(UUID_V4);
    expect(answer.value?.accept_key_id).toMatch(UUID_V4);
    expect(answer.value?.accept_key_id).not.toBe(answer.value?.value);
  });

  test("5.1: everything is stored as given, under the recipient's address, and nothing links the two rows", async () => {
    const { id, accept_key_id, invitation } = await invite(server, ann, box, ben, { read_only: true });
    const [row] = await server.db`select * from container_share_invites where id = ${id}`;
    expect(row).toMatchObject({
      recipient_user_email: ben.user.email,
      recipient_public_key_id_used_by_sender: invitation.recipient_public_key_id_used_by_sender,
      // What the request says is ignored.
      recipient_public_key_id_used_by_server: ben.user.public_key_id,
      created_unix_timestamp_intdiv_five_million: Math.floor(secsFrom(server, 0) / 5_000_000),
    });
    for (const field of [
      "sender_public_key",
      "encryption_key_encrypted",
      "container_info_encrypted",
      "sender_info_encrypted",
      "share_info_symmetric_key_encrypted",
    ] as const) {
      expect(hex(row?.[field])).toBe(hex(invitation[field]));
    }
    const [key] = await server.db`select * from container_accept_keys where key_id = ${accept_key_id}`;
    expect(key).toMatchObject({ container_id: box.id, expiration: invitation.expiration, read_only: true });
    expect(key?.public_key).toHaveLength(32);
    const inInvitation = JSON.stringify(row, (_, value) => (typeof value === "bigint" ? String(value) : value));
    expect(inInvitation).not.toContain(box.id);
    expect(inInvitation).not.toContain(accept_key_id);
    expect(Object.values(key ?? {})).not.toContain(id);
  });

  test("5.1: the private half, the id and the info are wrapped for the recipient's current key", async () => {
    const { sent, received } = await inviteAndUnwrap(server, ann, box, ben, { read_only: true });
    expect(received.accept_key_id).toBe(sent.accept_key_id);
    expect(received.info).toEqual({ read_only: true, expiration: sent.invitation.expiration / 1_000_000n });
    const [key] = await server.db`select public_key from container_accept_keys where key_id = ${sent.accept_key_id}`;
    const publicKey = received.acceptKey.export({ format: "jwk" }).x ?? "";
    expect(Buffer.from(publicKey, "base64url").toString("hex")).toBe(hex(key?.public_key));
  });

  test("5.1: AcceptKeyInfo is protobuf with both fields, zero or not, the expiry in whole seconds: 08011084f4f6cb06", async () => {
    const expirationSecs = 1_769_847_300;
    server.clock.aheadMs = expirationSecs * 1000 - 86_400_000 - Date.now();
    for (const [read_only, plaintext] of [
      [true, "08011084f4f6cb06"],
      [false, "08001084f4f6cb06"],
    ] as const) {
      const expiration = micros(expirationSecs) + 999_999n;
      const { id } = await invite(server, ann, box, ben, { read_only, expiration });
      const listed = (await listPending(ben)).find((pending) => pending.id === id);
      const info = await ben.keys.unwrap(
        "accept key info",
        listed?.container_accept_key_info_encrypted ?? new Uint8Array(0),
      );
      expect(hex(info)).toBe(plaintext);
    }
    server.clock.aheadMs = 0;
  });

  test("5.1: any number of invitations, also to a member, and also with an expiry in the same second", async () => {
    const guest = await signUpGuest(server);
    const { invitation } = newInvitation(server, guest.user.email, { expiration: micros(secsFrom(server, 0) + 2) });
    const answers = [1, 2, 3].map(() => postInvitation(ann, box, invitation));
    const ids = (await Promise.all(answers)).map((answer) => granted(answer).value);
    expect(new Set(ids).size).toBe(3);
    expect((await listPending(guest)).map(({ id }) => id)).toEqual(ids.toSorted());
  });

  test.each([
    ["sender_public_key", 4 * KIB],
    ["encryption_key_encrypted", 4 * KIB],
    ["container_info_encrypted", 4 * KIB],
    ["sender_info_encrypted", 4 * KIB],
    ["share_info_symmetric_key_encrypted", 4 * KIB],
  ] as const)("5.1, 11, W8: %s of %d bytes is taken, one byte more is INPUT_TOO_LARGE", async (field, bytesMax) => {
    await refused({ [field]: randomBytes(bytesMax + 1) }, "INPUT_TOO_LARGE");
    const { invitation } = newInvitation(server, ben.user.email, { [field]: randomBytes(bytesMax) });
    const atLimit = await postInvitation(ann, box, invitation);
    // No Ed25519 key has so many bytes, but that is another error.
    if (field === "sender_public_key") expectError(atLimit, "INCORRECTLY_FORMED");
    else expect(atLimit.status).toBe(200);
  });

  test("W9: a sender_public_key that is no strict Ed25519 key is INCORRECTLY_FORMED", async () => {
    const offCurve = "0200000000000000000000000000000000000000000000000000000000000000";
    const notCanonical = "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f";
    const smallOrder = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05";
    const lengths = [0, 22, 31, 33].map((bytes) => randomBytes(bytes));
    const points = [offCurve, notCanonical, smallOrder].map((text) => Buffer.from(text, "hex"));
    for (const sender_public_key of [...lengths, ...points]) await refused({ sender_public_key }, "INCORRECTLY_FORMED");
  });

  test("C2: an expiry in the past, or more than 31 days ahead, is INCORRECTLY_FORMED; up to 31 days is fine", async () => {
    await refused({ expiration: micros(secsFrom(server, 0) - 1) }, "INCORRECTLY_FORMED");
    await refused({ expiration: 0n }, "INCORRECTLY_FORMED");
    await refused({ expiration: micros(secsFrom(server, 31) + 5) }, "INCORRECTLY_FORMED");
    await refused({ expiration: 253_402_300_799_999_999n }, "INCORRECTLY_FORMED");
    await invite(server, ann, box, ben, { expiration: micros(secsFrom(server, 31)) });
  });

  test("5.1: a read-only member cannot invite", async () => {
    const reader = await addKey(server.db, box, { read_only: true });
    await expectUnchanged(server.db, async () => {
      const { invitation } = newInvitation(server, ben.user.email);
      expectError(await postInvitation(ann, reader, invitation), "READ_ONLY_ACCESS");
    });
  });

  test("5.1: a removed member's token that was used before is CONTAINER_DOES_NOT_EXIST at once", async () => {
    const member = await addKey(server.db, box);
    expect((await getContainers(ann, member.token())).status).toBe(200);
    await server.db`delete from container_access_keys where key_id = ${member.key_id}`;
    await expectUnchanged(server.db, async () => {
      const { invitation } = newInvitation(server, ben.user.email);
      expectError(await postInvitation(ann, member, invitation), "CONTAINER_DOES_NOT_EXIST");
      const unknown = newInvitation(server, unknownAddress()).invitation;
      expectError(await postInvitation(ann, member, unknown), "CONTAINER_DOES_NOT_EXIST");
    });
  });

  test("of an account that is gone the access token is TOKEN_EXPIRED", async () => {
    const gone = await signUpGuest(server, undefined, encoding);
    const own = await gone.createContainer();
    await server.db`delete from users where id = ${await userIdOf(server, gone.user)}`;
    await expectUnchanged(server.db, async () => {
      const { invitation } = newInvitation(server, ben.user.email);
      expectError(await postInvitation(gone, own, invitation), "TOKEN_EXPIRED");
    });
  });

  test("W8: tokens come before sizes, sizes before form, form before state", async () => {
    const reader = await addKey(server.db, box, { read_only: true });
    const tooLarge = { sender_info_encrypted: randomBytes(4 * KIB + 1) };
    const badForm = { expiration: 0n };
    const self = { recipient_user_email: ann.user.email };
    const wrong = newInvitation(server, "x", { ...tooLarge, ...badForm }).invitation;
    expectError(await postInvitation(ann, reader, wrong), "READ_ONLY_ACCESS");
    await refused({ ...tooLarge, ...badForm, ...self }, "INPUT_TOO_LARGE");
    await refused({ ...tooLarge, recipient_user_email: "x" }, "INPUT_TOO_LARGE");
    await refused({ ...badForm, ...self }, "INCORRECTLY_FORMED");
    await refused({ ...badForm, recipient_user_email: unknownAddress() }, "INCORRECTLY_FORMED");
    await refused({ sender_public_key: randomBytes(31), ...self }, "INCORRECTLY_FORMED");
    await refused(self, "INVALID_STATE");
  });
});

test("W17: an expiry beyond 2^63-1 seconds is INVALID_MESSAGE (it ended the reference's request)", async () => {
  const ann = senders.protobuf;
  const box = await ann.createContainer();
  const { invitation } = newInvitation(server, ben.user.email);
  const good = UserInvitationToContainer.encodeProtobuf({ ...invitation, expiration: 0n });
  const end = good.indexOf(0x4a, good.length - 8); // field 9, a Timestamp of the epoch; field 10 follows
  const beyond = [0x4a, 0x0d, 0x08, ...Array(9).fill(0xff), 0x01, 0x10, 0x00];
  const readOnly = good.subarray(-2);
  expect([...readOnly]).toEqual([0x50, 0]);
  await expectUnchanged(server.db, async () => {
    const response = await server.app.handle(
      new Request("http://localhost/api/container/invitation", {
        method: "POST",
        headers: { ...ann.headers(box), "content-type": "application/protobuf", accept: "application/json" },
        body: Buffer.concat([good.subarray(0, end), Buffer.from(beyond), readOnly]),
      }),
    );
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ err_type: "INVALID_MESSAGE" });
  });
});

test("W8: with a larger setting the infos may have 1 MiB, which is what the table holds", async () => {
  const large = await startTestServer({ ENTRIES_MAX_SMALL_OBJECT_SIZE_KB: "2048" }, server.database);
  const ann = await signUpGuest(large);
  const box = await ann.createContainer();
  for (const field of ["container_info_encrypted", "sender_info_encrypted"] as const) {
    await invite(large, ann, box, ben, { [field]: randomBytes(KIB * KIB) });
    const { invitation } = newInvitation(large, ben.user.email, { [field]: randomBytes(KIB * KIB + 1) });
    expectError(await postInvitation(ann, box, invitation), "INPUT_TOO_LARGE");
  }
  await large.stop();
});

test("W8: with a larger setting wrapped keys may still have 4096 bytes, which is what the table holds", async () => {
  const large = await startTestServer({ ENTRIES_MAX_ENCRYPTION_KEY_SIZE_KB: "8" }, server.database);
  const ann = await signUpGuest(large);
  const box = await ann.createContainer();
  for (const field of ["encryption_key_encrypted", "share_info_symmetric_key_encrypted"] as const) {
    await invite(large, ann, box, ben, { [field]: randomBytes(4 * KIB) });
    const { invitation } = newInvitation(large, ben.user.email, { [field]: randomBytes(4 * KIB + 1) });
    expectError(await postInvitation(ann, box, invitation), "INPUT_TOO_LARGE");
  }
  await large.stop();
});

test("C2: ENTRIES_INVITATION_MAX_LIFETIME_DAYS sets how long an invitation may last", async () => {
  const strict = await startTestServer({ ENTRIES_INVITATION_MAX_LIFETIME_DAYS: "2" }, server.database);
  const ann = await signUpGuest(strict);
  const box = await ann.createContainer();
  await invite(strict, ann, box, ben, { expiration: micros(secsFrom(strict, 2)) });
  const { invitation } = newInvitation(strict, ben.user.email, { expiration: micros(secsFrom(strict, 2) + 5) });
  const answer = await postInvitation(ann, box, invitation);
  expectError(answer, "INCORRECTLY_FORMED");
  expect(answer.error?.err_message).toContain("2 days");
  await strict.stop();
});

test("4: limit class, tokens and messages of the five routes", () => {
  const specs = invitationRoutes.map(({ spec }) => {
    const { method, path, limit, tokens, request, response, status = 200 } = spec;
    return [`${method} ${path}`, limit, tokens, request?.name, status, response?.name];
  });
  const path = "/api/container/invitation";
  expect(specs).toEqual([
    [`POST ${path}`, "create", { user: true, container: "write" }, "UserInvitationToContainer", 200, "InvitationId"],
    [`DELETE ${path}`, "modify", { user: true, inviteSender: true }, undefined, 200, undefined],
    [`PUT ${path}/accept`, "modify", { user: true, accept: "live" }, "PublicKey", 200, "ContainerIdAndEncryptionKey"],
    [`PUT ${path}/decline`, "modify", { user: true, accept: "any" }, undefined, 200, undefined],
    [`GET ${path}/all-pending`, "read", { user: true }, undefined, 200, "ContainerShareInviteList"],
  ]);
});
