/** C8: who was removed does not come back by an invitation that was sent before. */
import { afterAll, beforeAll, test } from "bun:test";
import { container as queries } from "../../src/db/queries.ts";
import { addKey, expectEmptyOk, expectError } from "../support/containerCalls.ts";
import { acceptToken, inviteAndUnwrap, mustAccept, putAccept, signUpGuest } from "../support/invitations.ts";
import { removeMember } from "../support/memberCalls.ts";
import { overtake } from "../support/races.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

test("C8: removing a member ends the invitations to the container, whoever sent them, and no others", async () => {
  const device = await server.signUp();
  const [box, other] = [await device.createContainer(), await device.createContainer()];
  const removed = await addKey(server.db, box);
  const guest = await signUpGuest(server);
  const before = await inviteAndUnwrap(server, device, removed, guest);
  const elsewhere = await inviteAndUnwrap(server, device, other, guest);
  expectEmptyOk(await removeMember(device, box, removed.key_id));
  expectError(await putAccept(guest, acceptToken(before.received)), "INVITATION_DOES_NOT_EXIST");
  await mustAccept(guest, elsewhere.received);
  const after = await inviteAndUnwrap(server, device, box, guest);
  await mustAccept(guest, after.received);
});

test("C8: an accept that waits behind the removal adds nothing", async () => {
  const device = await server.signUp();
  const box = await device.createContainer();
  const removed = await addKey(server.db, box);
  const guest = await signUpGuest(server);
  const { received } = await inviteAndUnwrap(server, device, removed, guest);
  const accept = () => putAccept(guest, acceptToken(received));
  const answer = await overtake(server.db, box.id, accept, (transaction) =>
    queries.remove_member(transaction, {
      key_id: box.key_id,
      container_id: box.id,
      removed_key_id: removed.key_id,
    }),
  );
  expectError(answer, "INVITATION_DOES_NOT_EXIST");
});

test("C8: a removal that is refused ends no invitation", async () => {
  const device = await server.signUp();
  const box = await device.createContainer();
  const guest = await signUpGuest(server);
  const { received } = await inviteAndUnwrap(server, device, box, guest);
  expectError(await removeMember(device, box, box.key_id), "INVALID_STATE");
  expectError(await removeMember(device, box, crypto.randomUUID()), "KEY_DOES_NOT_EXIST");
  const reader = await addKey(server.db, box, { read_only: true });
  expectError(await removeMember(device, reader, box.key_id), "READ_ONLY_ACCESS");
  await mustAccept(guest, received);
});
