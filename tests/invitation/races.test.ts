/** Invitations that are answered, retracted and overtaken at the same time (decisions C1, C3), by two processes. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { container as containerQueries, invitation as invitationQueries } from "../../src/db/queries.ts";
import type { Executor } from "../../src/db/query.ts";
import { countByStatus, userIdOf } from "../support/accounts.ts";
import { type Box, Device } from "../support/client.ts";
import { expectEmptyOk, expectError, speaking } from "../support/containerCalls.ts";
import { createTestDatabase } from "../support/database.ts";
import {
  acceptToken,
  type Guest,
  inviteAndUnwrap,
  listPending,
  newInvitation,
  newPublicKey,
  postInvitation,
  putAccept,
  putDecline,
  type ReceivedInvitation,
  retract,
  type SentInvitation,
  senderToken,
  signUpGuest,
} from "../support/invitations.ts";
import { leave } from "../support/memberCalls.ts";
import { overtake } from "../support/races.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const ROUNDS = 15;

let server: TestServer;
/** A second process on the same database. */
let sibling: TestServer;
let ann: Guest;
let ben: Guest;
/** Ben, asking the second process. */
let benElsewhere: Device;
beforeAll(async () => {
  const database = await createTestDatabase();
  // PostgreSQL looks for deadlocks after a second; who may not change that just waits longer.
  await database.db.unsafe(`alter database ${database.name} set deadlock_timeout = '20ms'`).catch(() => {});
  await database.db.end();
  server = await startTestServer({}, database);
  sibling = await startTestServer({}, database);
  [ann, ben] = [await signUpGuest(server), await signUpGuest(server)];
  benElsewhere = speaking("json", new Device(ben.client, ben.accessToken, ben.refreshToken), sibling);
});
afterAll(async () => {
  await sibling.stop();
  await server.stop();
});

const GONE = "404 INVITATION_DOES_NOT_EXIST";
const by = (index: number) => (index % 2 ? benElsewhere : ben);
const times = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => make(index));

/** Sends two requests at once; which is sent first changes from round to round. */
async function atOnce<First, Second>(
  round: number,
  first: () => Promise<First>,
  second: () => Promise<Second>,
): Promise<[First, Second]> {
  if (round % 2) return Promise.all([first(), second()]);
  const [secondAnswer, firstAnswer] = await Promise.all([second(), first()]);
  return [firstAnswer, secondAnswer];
}

async function membersOf(box: Box): Promise<number> {
  return (await server.db`select from container_access_keys where container_id = ${box.id}`).count;
}

async function exists(table: "containers" | "container_share_invites", id: string): Promise<boolean> {
  return (await server.db`select from ${server.db(table)} where id = ${id}`).count === 1;
}

async function acceptKeyExists(id: string): Promise<boolean> {
  return (await server.db`select from container_accept_keys where key_id = ${id}`).count === 1;
}

/** As PUT accept does it, within a transaction of the test. */
async function acceptWithin(transaction: Executor, received: ReceivedInvitation): Promise<void> {
  const row = await invitationQueries.accept(transaction, {
    invitation_id: received.id,
    accept_key_id: received.accept_key_id,
    container_id: received.container_id,
    user_id: await userIdOf(server, ben.user),
    new_key_id: crypto.randomUUID(),
    new_public_key: newPublicKey(),
  });
  expect(row.encryption_key_encrypted).not.toBeNull();
}

describe("C3: accepts at once", () => {
  test("eight of one invitation: exactly one is 200, one access key is added", async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const box = await ann.createContainer();
      const { received } = await inviteAndUnwrap(server, ann, box, ben);
      const answers = await Promise.all(times(8, (index) => putAccept(by(index), acceptToken(received))));
      expect(countByStatus(answers)).toEqual({ "200": 1, [GONE]: 7 });
      expect(await membersOf(box)).toBe(2);
    }
  });

  test("with one accept key and different invitations: exactly one is 200, the other invitations stay", async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const box = await ann.createContainer();
      const { received } = await inviteAndUnwrap(server, ann, box, ben);
      const others = await Promise.all(times(3, () => inviteAndUnwrap(server, ann, box, ben)));
      const ids = [received.id, ...others.map((other) => other.received.id)];
      const answers = await Promise.all(ids.map((iid, index) => putAccept(by(index), acceptToken(received, { iid }))));
      expect(countByStatus(answers)).toEqual({ "200": 1, [GONE]: 3 });
      expect(await membersOf(box)).toBe(2);
      const used = ids.filter((_, index) => answers[index]?.status === 200);
      const left = (await listPending(ben)).map(({ id }) => id).filter((id) => ids.includes(id));
      expect([...used, ...left].sort()).toEqual(ids.sort());
    }
  });

  test("with one invitation and different accept keys: exactly one is 200, the other accept keys stay", async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const box = await ann.createContainer();
      const offers = await Promise.all(times(4, () => inviteAndUnwrap(server, ann, box, ben)));
      const iid = offers[0]?.received.id;
      const answers = await Promise.all(
        offers.map(({ received }, index) => putAccept(by(index), acceptToken(received, { iid }))),
      );
      expect(countByStatus(answers)).toEqual({ "200": 1, [GONE]: 3 });
      const left = await Promise.all(offers.map(({ sent }) => acceptKeyExists(sent.accept_key_id)));
      expect(left.map((isLeft) => !isLeft)).toEqual(answers.map(({ status }) => status === 200));
      expect(await membersOf(box)).toBe(2);
    }
  });
});

describe("an accept and another end of the same invitation at once", () => {
  type End = (sent: SentInvitation, received: ReceivedInvitation) => ReturnType<typeof putDecline>;

  test.each<[string, End]>([
    ["a decline", (_, received) => putDecline(benElsewhere, acceptToken(received))],
    ["a retraction", (sent) => retract(ann, senderToken(sent))],
    ["a retraction with the accept key", (sent) => retract(ann, senderToken(sent, { kid: sent.accept_key_id }))],
  ])("5.3 and %s: both end with 200 or 404, and the accept's answer is what is stored", async (what, end) => {
    for (let round = 0; round < ROUNDS; round++) {
      const box = await ann.createContainer();
      const { sent, received } = await inviteAndUnwrap(server, ann, box, ben);
      const [accepted, ended] = await atOnce(
        round,
        () => putAccept(ben, acceptToken(received)),
        () => end(sent, received),
      );
      for (const answer of [accepted, ended]) {
        if (answer.status !== 200) expectError(answer, "INVITATION_DOES_NOT_EXIST");
      }
      // Only one removes the invitation. A retraction does not look how many rows it hit (5.2), so it may be 200 too.
      if (what === "a decline") expect(countByStatus([accepted, ended])).toEqual({ "200": 1, [GONE]: 1 });
      else expect([accepted.status, ended.status]).toContain(200);
      expect(await membersOf(box)).toBe(accepted.status === 200 ? 2 : 1);
      expect(await exists("container_share_invites", sent.id)).toBe(false);
      const keyMayStay = what === "a retraction" && accepted.status !== 200;
      if (!keyMayStay) expect(await acceptKeyExists(sent.accept_key_id)).toBe(false);
    }
  });

  test("C3: an accept that waits behind a retraction without the accept key adds nothing and leaves that key", async () => {
    const box = await ann.createContainer();
    const { sent, received } = await inviteAndUnwrap(server, ann, box, ben);
    const accept = () => putAccept(ben, acceptToken(received));
    const answer = await overtake(
      server.db,
      box.id,
      accept,
      (transaction) => transaction`delete from container_share_invites where id = ${sent.id}`,
    );
    expectError(answer, "INVITATION_DOES_NOT_EXIST");
    expect(await membersOf(box)).toBe(1);
    expect(await acceptKeyExists(sent.accept_key_id)).toBe(true);
  });

  test("C3: an accept that waits behind the end of its accept key adds nothing and leaves the invitation", async () => {
    const box = await ann.createContainer();
    const { sent, received } = await inviteAndUnwrap(server, ann, box, ben);
    const accept = () => putAccept(ben, acceptToken(received));
    const answer = await overtake(
      server.db,
      box.id,
      accept,
      (transaction) => transaction`delete from container_accept_keys where key_id = ${sent.accept_key_id}`,
    );
    expectError(answer, "INVITATION_DOES_NOT_EXIST");
    expect(await membersOf(box)).toBe(1);
    expect(await exists("container_share_invites", sent.id)).toBe(true);
  });
});

describe("C1: the last member leaves while another accepts", () => {
  test("at once: the container lives exactly when the accept was 200, then with the new member; nobody gets a 500", async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const box = await ann.createContainer();
      const { received } = await inviteAndUnwrap(server, ann, box, ben);
      const [accepted, left] = await atOnce(
        round,
        () => putAccept(benElsewhere, acceptToken(received)),
        () => leave(ann, box),
      );
      expectEmptyOk(left);
      if (accepted.status !== 200) expectError(accepted, "INVITATION_DOES_NOT_EXIST");
      expect(await exists("containers", box.id)).toBe(accepted.status === 200);
      expect(await membersOf(box)).toBe(accepted.status === 200 ? 1 : 0);
    }
  });

  test("a leave that waits behind an accept keeps the container for the new member", async () => {
    const box = await ann.createContainer();
    const { received } = await inviteAndUnwrap(server, ann, box, ben);
    const left = await overtake(
      server.db,
      box.id,
      () => leave(ann, box),
      (transaction) => acceptWithin(transaction, received),
    );
    expectEmptyOk(left);
    expect(await membersOf(box)).toBe(1);
  });

  test("an accept that waits behind the leave of the last member is INVITATION_DOES_NOT_EXIST", async () => {
    const box = await ann.createContainer();
    const { received } = await inviteAndUnwrap(server, ann, box, ben);
    const answer = await overtake(
      server.db,
      box.id,
      () => putAccept(ben, acceptToken(received)),
      (transaction) => containerQueries.leave(transaction, { key_id: box.key_id, container_id: box.id }),
    );
    expectError(answer, "INVITATION_DOES_NOT_EXIST");
    expect(await exists("containers", box.id)).toBe(false);
    // 5.7: the invitation stays until it has aged out.
    expect(await exists("container_share_invites", received.id)).toBe(true);
  });

  test("a decline that waits behind it takes the invitation away all the same", async () => {
    const box = await ann.createContainer();
    const { received } = await inviteAndUnwrap(server, ann, box, ben);
    const answer = await overtake(
      server.db,
      box.id,
      () => putDecline(ben, acceptToken(received)),
      (transaction) => containerQueries.leave(transaction, { key_id: box.key_id, container_id: box.id }),
    );
    expectEmptyOk(answer);
    expect(await exists("container_share_invites", received.id)).toBe(false);
  });
});

test("C1, C3: invites, accepts, declines, retractions and leaves in one container, all at once: no 500, no orphan", async () => {
  for (let round = 0; round < ROUNDS; round++) {
    const box = await ann.createContainer();
    const offers = await Promise.all(times(4, () => inviteAndUnwrap(server, ann, box, ben)));
    const requests = offers.flatMap(({ sent, received }, index) => [
      () => putAccept(by(index), acceptToken(received)),
      () => putAccept(by(index + 1), acceptToken(received, { iid: offers[(index + 1) % 4]?.received.id })),
      () => putDecline(by(index), acceptToken(received)),
      () => retract(ann, senderToken(sent, { kid: sent.accept_key_id })),
      () => postInvitation(ann, box, newInvitation(server, ben.user.email).invitation),
    ]);
    const shuffled = [...requests, () => leave(ann, box)].sort(() => Math.random() - 0.5);
    const answers = await Promise.all(shuffled.map((request) => request()));
    const statuses = Object.keys(countByStatus(answers));
    const expected = ["200", GONE, "404 CONTAINER_DOES_NOT_EXIST"];
    expect(statuses.filter((status) => !expected.includes(status))).toEqual([]);
    const members = await membersOf(box);
    expect(await exists("containers", box.id)).toBe(members > 0);
    const joined = answers.filter(({ value }) => Object.hasOwn(value ?? {}, "container_access_key_id")).length;
    expect(members).toBe(joined);
  }
});
