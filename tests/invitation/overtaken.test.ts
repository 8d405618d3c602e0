/** Inviting and accepting while the container is locked, and what changes until the request goes on (5.1, 5.3, A2). */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Answer } from "../support/client.ts";
import { addKey, expectError, getContainers } from "../support/containerCalls.ts";
import {
  acceptToken,
  type Guest,
  inviteAndUnwrap,
  listPending,
  newInvitation,
  postInvitation,
  putAccept,
  putDecline,
  signUpGuest,
} from "../support/invitations.ts";
import { heldUp, overtake } from "../support/races.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

let server: TestServer;
let ann: Guest;
let ben: Guest;
beforeAll(async () => {
  server = await startTestServer();
  [ann, ben] = [await signUpGuest(server), await signUpGuest(server)];
});
afterAll(() => server.stop());

describe("what changes while a request waits for the container", () => {
  test("5.1: an invitation behind the removal of the sender's key is CONTAINER_DOES_NOT_EXIST, nothing is stored", async () => {
    const box = await ann.createContainer();
    const member = await addKey(server.db, box);
    await getContainers(ann, member.token());
    const guest = await signUpGuest(server);
    const answer = await overtake(
      server.db,
      box.id,
      () => postInvitation(ann, member, newInvitation(server, guest.user.email).invitation),
      (transaction) => transaction`delete from container_access_keys where key_id = ${member.key_id}`,
    );
    expectError(answer, "CONTAINER_DOES_NOT_EXIST");
    expect(await listPending(guest)).toEqual([]);
    expect(await server.db`select from container_accept_keys where container_id = ${box.id}`).toHaveLength(0);
  });

  test("5.1, 8: behind the container's deletion it is CONTAINER_DOES_NOT_EXIST, nothing is stored", async () => {
    const box = await ann.createContainer();
    const guest = await signUpGuest(server);
    const answer = await overtake(
      server.db,
      box.id,
      () => postInvitation(ann, box, newInvitation(server, guest.user.email).invitation),
      (transaction) => transaction`delete from containers where id = ${box.id}`,
    );
    expectError(answer, "CONTAINER_DOES_NOT_EXIST");
    expect(await listPending(guest)).toEqual([]);
  });

  test("5.1: behind the sender's key becoming read-only it is READ_ONLY_ACCESS", async () => {
    const box = await ann.createContainer();
    const answer = await overtake(
      server.db,
      box.id,
      () => postInvitation(ann, box, newInvitation(server, ben.user.email).invitation),
      (transaction) => transaction`update container_access_keys set read_only = true where key_id = ${box.key_id}`,
    );
    expectError(answer, "READ_ONLY_ACCESS");
  });

  test("5.1: behind the recipient's change of address it goes to the new one", async () => {
    const box = await ann.createContainer();
    const guest = await signUpGuest(server);
    const { email } = guest.user;
    const answer = await overtake(
      server.db,
      box.id,
      () => postInvitation(ann, box, newInvitation(server, email).invitation),
      (transaction) => transaction`update users set email = ${`new-${email}`} where email = ${email}`,
    );
    expect(answer.status).toBe(200);
    expect((await listPending(guest)).map(({ id }) => id)).toEqual([answer.value?.value ?? ""]);
  });

  test("5.1: behind the deletion of the recipient's account it is USER_DOES_NOT_EXIST, nothing is stored", async () => {
    const box = await ann.createContainer();
    const guest = await signUpGuest(server);
    const answer = await overtake(
      server.db,
      box.id,
      () => postInvitation(ann, box, newInvitation(server, guest.user.email).invitation),
      (transaction) => transaction`delete from users where email = ${guest.user.email}`,
    );
    expectError(answer, "USER_DOES_NOT_EXIST");
    expect(await server.db`select from container_accept_keys where container_id = ${box.id}`).toHaveLength(0);
  });

  test("5.3, A2: an accept behind the caller's change of address is 200", async () => {
    const box = await ann.createContainer();
    const guest = await signUpGuest(server);
    const { email } = guest.user;
    const { received } = await inviteAndUnwrap(server, ann, box, guest);
    const answer = await overtake(
      server.db,
      box.id,
      () => putAccept(guest, acceptToken(received)),
      (transaction) => transaction`update users set email = ${`new-${email}`} where email = ${email}`,
    );
    expect(answer.status).toBe(200);
  });

  test.each(["accept", "decline"] as const)(
    "5.3, 5.4, A2: an %s while the caller's change of address is under way is 200",
    async (what) => {
      const guest = await signUpGuest(server);
      const { email } = guest.user;
      const { received } = await inviteAndUnwrap(server, ann, await ann.createContainer(), guest);
      const token = acceptToken(received);
      const [answer] = await heldUp<Answer<unknown>>(
        server.db,
        (transaction) => transaction`update users set email = ${`new-${email}`} where email = ${email}`,
        [() => (what === "accept" ? putAccept(guest, token) : putDecline(guest, token))],
      );
      expect(answer?.status).toBe(200);
    },
  );

  test("5.3: an accept behind the deletion of the caller's account is TOKEN_EXPIRED and adds nothing", async () => {
    const box = await ann.createContainer();
    const guest = await signUpGuest(server);
    const { received } = await inviteAndUnwrap(server, ann, box, guest);
    const answer = await overtake(
      server.db,
      box.id,
      () => putAccept(guest, acceptToken(received)),
      (transaction) => transaction`delete from users where email = ${guest.user.email}`,
    );
    expectError(answer, "TOKEN_EXPIRED");
    expect(await server.db`select from container_access_keys where container_id = ${box.id}`).toHaveLength(1);
  });
});
