/** Sharing between accounts whose public keys are of either kind (decision C5; issue 5, points 1 and 2). */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { NewUserPublicKey, UserPublicKey } from "../../src/user/messages.ts";
import { granted } from "../support/accounts.ts";
import { newUser } from "../support/client.ts";
import { ENCODINGS, expectEmptyOk, expectError, getContainers, putContainer } from "../support/containerCalls.ts";
import { expectUnchanged } from "../support/containerRows.ts";
import {
  type Guest,
  invite,
  inviteAndUnwrap,
  listPending,
  mustAccept,
  signUpGuest,
  unwrapInvitation,
} from "../support/invitations.ts";
import { type RecipientKeys, rsaRecipient, xwingRecipient } from "../support/recipientKeys.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const KINDS = { "RSA-2048": rsaRecipient, "X-Wing": xwingRecipient } as const;
type Kind = keyof typeof KINDS;
/** Lengths of what is wrapped: the key's seed of 32 bytes, the id of 16, AcceptKeyInfo of 8. */
const LENGTHS: Record<Kind, readonly number[]> = { "RSA-2048": [256, 256, 256], "X-Wing": [1169, 1153, 1145] };

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

const MIXES = ENCODINGS.flatMap((encoding) =>
  (Object.keys(KINDS) as Kind[]).flatMap((sender) =>
    (Object.keys(KINDS) as Kind[]).map((recipient) => ({ sender, recipient, encoding })),
  ),
);

describe.each(MIXES)(
  "a $sender account shares with a $recipient account, in $encoding",
  ({ sender, recipient, encoding }) => {
    test("C5: the invitation opens, and the new member reads and writes", async () => {
      const ann = await signUpGuest(server, await KINDS[sender](), encoding);
      const ben = await signUpGuest(server, await KINDS[recipient](), encoding);
      const box = await ann.createContainer();
      const { received } = await inviteAndUnwrap(server, ann, box, ben);
      const [listed] = await listPending(ben);
      expect([
        listed?.container_accept_key_encrypted.length,
        listed?.container_accept_key_id_encrypted.length,
        listed?.container_accept_key_info_encrypted.length,
      ]).toEqual([...LENGTHS[recipient]]);

      const { box: shared } = await mustAccept(ben, received);
      expectEmptyOk(await putContainer(ben, shared));
      expect((await getContainers(ann, box.token())).value?.containers[0]?.version_nonce).toBe(2n);

      // And the other way round, by the member who came by invitation.
      const back = await inviteAndUnwrap(server, ben, shared, ann);
      const { box: again } = await mustAccept(ann, back.received);
      expect((await getContainers(ann, again.token())).status).toBe(200);
    });
  },
);

function replaceKey(guest: Guest, id: string, value: Uint8Array, expected_previous_public_key_id: string) {
  return guest.client.call("PUT", "/api/user/public-key", {
    request: [NewUserPublicKey, { id, value, expected_previous_public_key_id }],
    headers: guest.headers(),
  });
}

describe.each([...ENCODINGS])("changing from RSA to X-Wing, in %s", (encoding) => {
  test("5.1: later invitations are for the new key, earlier ones open with the old one, each names its key", async () => {
    const ann = await signUpGuest(server, undefined, encoding);
    const ben = await signUpGuest(server, undefined, encoding);
    const box = await ann.createContainer();
    const earlier = await invite(server, ann, box, ben);
    const [oldKeys, newKeys] = [ben.keys, await xwingRecipient()];
    const newId = Bun.randomUUIDv7();
    expectEmptyOk(await replaceKey(ben, newId, newKeys.publicKey, ben.user.public_key_id));
    const later = await invite(server, ann, box, ben);

    const shown = await ann.client.must("GET", `/api/user/public-key?email=${encodeURIComponent(ben.user.email)}`, {
      response: UserPublicKey,
      headers: ann.headers(),
    });
    expect(shown).toEqual({ id: newId, value: new Uint8Array(newKeys.publicKey) });

    const listed = await listPending(ben);
    const open = async (sent: { id: string; accept_key_id: string }, keys: RecipientKeys, keyId: string) => {
      const invitation = listed.find(({ id }) => id === sent.id);
      if (!invitation) throw new Error("the invitation is not listed");
      expect(invitation.recipient_public_key_id_used_by_server).toBe(keyId);
      const received = await unwrapInvitation(keys, invitation, box.id);
      expect(received.accept_key_id).toBe(sent.accept_key_id);
      return received;
    };
    await mustAccept(ben, await open(earlier, oldKeys, ben.user.public_key_id));
    await mustAccept(ben, await open(later, newKeys, newId));
  });

  test("C5: neither sign-up nor rotation takes an X-Wing key that nobody could seal for", async () => {
    const ben = await signUpGuest(server, undefined, encoding);
    const { publicKey } = await xwingRecipient();
    const spoilt = (change: (key: Buffer) => void) => {
      const key = Buffer.from(publicKey);
      change(key);
      return key;
    };
    const keys = [
      publicKey.subarray(1),
      Buffer.concat([publicKey, Buffer.alloc(1)]),
      spoilt((key) => key.writeUInt8(0x59, 0)),
      spoilt((key) => key.fill(0xff, 1, 4)),
      spoilt((key) => key.fill(0, 1185)),
      Buffer.concat([Buffer.from("X"), randomBytes(4095)]),
    ];
    await expectUnchanged(server.db, async () => {
      for (const key of keys) {
        const refusal = await server.client(encoding).createUser(newUser({ public_key: key }));
        expectError(refusal, "INCORRECTLY_FORMED");
        expect(refusal.error?.err_message).toMatch(/RSA.*X-Wing/);
        const { public_key_id } = ben.user;
        expectError(await replaceKey(ben, crypto.randomUUID(), key, public_key_id), "INCORRECTLY_FORMED");
      }
    });
  });

  test("C5: an account may go back to RSA", async () => {
    const ben = await signUpGuest(server, await xwingRecipient(), encoding);
    const keys = rsaRecipient();
    expectEmptyOk(await replaceKey(ben, crypto.randomUUID(), keys.publicKey, ben.user.public_key_id));
    const ann = await signUpGuest(server, undefined, encoding);
    const { received } = await inviteAndUnwrap(server, ann, await ann.createContainer(), Object.assign(ben, { keys }));
    await mustAccept(ben, received);
  });
});

test("C5: an account with an X-Wing key signs in like any other", async () => {
  const ben = await signUpGuest(server, await xwingRecipient());
  granted(await server.client().signIn(ben.user.email, ben.user.auth_string));
});
