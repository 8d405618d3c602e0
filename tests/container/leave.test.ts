/** DELETE /api/container/leave (containers.md 4.12, C1). */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { container as queries } from "../../src/db/queries.ts";
import { userIdOf } from "../support/accounts.ts";
import type { Answer, Box, Device } from "../support/client.ts";
import {
  addKey,
  anyDevice,
  ENCODINGS,
  expectEmptyOk,
  expectError,
  getContainers,
  putContainer,
  speaking,
} from "../support/containerCalls.ts";
import { changesSince, expectHeadIsExact } from "../support/containerRows.ts";
import { createTestDatabase } from "../support/database.ts";
import { leave } from "../support/memberCalls.ts";
import { heldUp, overtake } from "../support/races.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { boxOf, newEntry, newUpload, upload } from "../support/uploadCalls.ts";
import { newWriteTarget, WRITES } from "../support/writes.ts";

let server: TestServer;
/** A second process on the same database. */
let sibling: TestServer;
let device: Device;
let other: Device;
beforeAll(async () => {
  const database = await createTestDatabase();
  server = await startTestServer({}, database);
  sibling = await startTestServer({}, database);
  device = anyDevice(server);
  other = anyDevice(sibling, "json");
});
afterAll(async () => {
  await sibling.stop();
  await server.stop();
});

const times = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => make(index));

/** What is left of a container, table by table. */
async function remainsOf({ id }: Box) {
  const [counts] = await server.db<Record<string, number>[]>`
    select
      (select count(*)::int from containers where id = ${id}) as containers,
      (select count(*)::int from container_heads where container_id = ${id}) as heads,
      (select count(*)::int from categories where container_id = ${id}) as categories,
      (select count(*)::int from entries where container_id = ${id}) as entries,
      (select count(*)::int from container_access_keys where container_id = ${id}) as access_keys,
      (select count(*)::int from container_accept_keys where container_id = ${id}) as accept_keys`;
  return { ...counts };
}

const NOTHING = { containers: 0, heads: 0, categories: 0, entries: 0, access_keys: 0, accept_keys: 0 };

async function addAcceptKey({ id }: Box): Promise<string> {
  const key_id = crypto.randomUUID();
  await server.db`
    insert into container_accept_keys (key_id, container_id, public_key, expiration, read_only)
    values (${key_id}, ${id}, ${randomBytes(32)}, timezone('utc', now()) + interval '1 day', false)`;
  return key_id;
}

/** A container with a category and an entry in it, and an accept key. */
async function fullBox(): Promise<Box> {
  const box = await device.createContainer();
  await device.createEntry(box, { category_id: await device.createCategory(box) });
  await addAcceptKey(box);
  return box;
}

describe.each(ENCODINGS)("leaving a container in %s", (encoding) => {
  let by: Device;
  beforeAll(() => {
    by = speaking(encoding, device, server);
  });

  test("4.12, 11: with two members the container stays; the leaver's key is CONTAINER_DOES_NOT_EXIST from then on", async () => {
    const box = await fullBox();
    const guest = await addKey(server.db, box);
    const before = await changesSince(server.db, box.id, 0n);
    expectEmptyOk(await leave(by, box));
    expect(await remainsOf(box)).toEqual({
      ...NOTHING,
      containers: 1,
      heads: 1,
      categories: 1,
      entries: 1,
      access_keys: 1,
      accept_keys: 1,
    });
    expect(await changesSince(server.db, box.id, 0n)).toEqual(before);
    expectError(await by.fetch([box.token()]), "CONTAINER_DOES_NOT_EXIST");
    expectError(await getContainers(by, box.token()), "CONTAINER_DOES_NOT_EXIST");
    expectError(await by.fetch([guest.token(), box.token()]), "CONTAINER_DOES_NOT_EXIST");
    expectError(await putContainer(by, box), "CONTAINER_DOES_NOT_EXIST");
    expect((await by.read(guest)).entries).toHaveLength(1);
    await expectHeadIsExact(server.db, box.id);
  });

  test("4.12, 11: the last one deletes the container for good, with everything in it and its accept keys", async () => {
    const box = await fullBox();
    const guest = await addKey(server.db, box);
    expectEmptyOk(await leave(by, guest));
    expectEmptyOk(await leave(by, box));
    expect(await remainsOf(box)).toEqual(NOTHING);
    for (const key of [box, guest]) expectError(await by.fetch([key.token()]), "CONTAINER_DOES_NOT_EXIST");
  });

  test("4.12: a second time is CONTAINER_DOES_NOT_EXIST, the container there or not", async () => {
    const box = await fullBox();
    const guest = await addKey(server.db, box);
    expectEmptyOk(await leave(by, guest));
    expectError(await leave(by, guest), "CONTAINER_DOES_NOT_EXIST");
    expectEmptyOk(await leave(by, box));
    expectError(await leave(by, box), "CONTAINER_DOES_NOT_EXIST");
  });

  test("4.12: a read-only member may leave, and deletes the container as the last one; nobody is made writable", async () => {
    const box = await fullBox();
    const [first, second] = [
      await addKey(server.db, box, { read_only: true }),
      await addKey(server.db, box, { read_only: true }),
    ];
    expectEmptyOk(await leave(by, box));
    expectError(await putContainer(by, first), "READ_ONLY_ACCESS");
    expectEmptyOk(await leave(by, first));
    expectError(await putContainer(by, second), "READ_ONLY_ACCESS");
    expectEmptyOk(await leave(by, second));
    expect(await remainsOf(box)).toEqual(NOTHING);
  });

  test("4.12: other containers are left alone, a soft-deleted one can be left", async () => {
    const [box, bystander] = [await fullBox(), await fullBox()];
    await server.db`update containers set deleted_at = timezone('utc', now()) where id = ${box.id}`;
    expectEmptyOk(await leave(by, box));
    expect(await remainsOf(box)).toEqual(NOTHING);
    expect(await remainsOf(bystander)).toMatchObject({ containers: 1, entries: 1, access_keys: 1, accept_keys: 1 });
  });
});

test("4.12: invitations to a deleted container stay as rows", async () => {
  const recipient = await server.signUp();
  const box = await fullBox();
  const id = crypto.randomUUID();
  const blob = randomBytes(8);
  await server.db`
    insert into container_share_invites values
      (${id}, ${recipient.user.email}, ${blob}, ${blob}, ${blob}, ${blob}, ${blob}, ${blob}, ${blob}, ${blob},
      ${crypto.randomUUID()}, ${crypto.randomUUID()}, 353)`;
  expectEmptyOk(await leave(device, box));
  expect(await server.db`select from container_share_invites where id = ${id}`).toHaveLength(1);
});

test("a key that an account listed for its deletion can be left before", async () => {
  const account = await server.signUp();
  const box = await fullBox();
  await server.db`
    insert into user_deletion_request_container_keys (key_id, user_id, delete_me_time)
    values (${box.key_id}, ${await userIdOf(server, account.user)}, timezone('utc', now()))`;
  expectEmptyOk(await leave(device, box));
  expect(await remainsOf(box)).toEqual(NOTHING);
  expect(await server.db`select from user_deletion_request_container_keys`).toHaveLength(0);
});

test("the last one of a container with 20,000 entries deletes them all", async () => {
  const entries = times(20_000, (index) => newEntry(index, { category_temp_id: index % 2 ? 1 : -5 }));
  const { container, privateKey } = newUpload({ entries });
  const box = boxOf((await upload(device, container)).value, privateKey);
  expectEmptyOk(await leave(device, box));
  expect(await remainsOf(box)).toEqual(NOTHING);
});

describe("C1: races", () => {
  test("two last members leaving at once leave no orphan, in two processes; 20 rounds", async () => {
    for (let round = 0; round < 20; round++) {
      const box = await fullBox();
      const guest = await addKey(server.db, box);
      for (const answer of await Promise.all([leave(device, box), leave(other, guest)])) expectEmptyOk(answer);
      expect(await remainsOf(box)).toEqual(NOTHING);
    }
  });

  test("five last members that wait for one lock all leave, and the last of them takes the container along", async () => {
    const box = await fullBox();
    const boxes = [
      box,
      ...(await Promise.all(times(4, (index) => addKey(server.db, box, { read_only: index % 2 === 0 })))),
    ];
    const answers = await heldUp(
      server.db,
      (transaction) => transaction`select from container_heads where container_id = ${box.id} for update`,
      boxes.map((key, index) => () => leave(index % 2 ? device : other, key)),
    );
    for (const answer of answers) expectEmptyOk(answer);
    expect(await remainsOf(box)).toEqual(NOTHING);
  });

  test("one key leaving many times at once is 200 once", async () => {
    for (const hasGuest of [true, false]) {
      const box = await fullBox();
      if (hasGuest) await addKey(server.db, box);
      const answers = await Promise.all(times(10, (index) => leave(index % 2 ? device : other, box)));
      expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
      for (const answer of answers) if (answer.status !== 200) expectError(answer, "CONTAINER_DOES_NOT_EXIST");
      expect(await remainsOf(box)).toMatchObject({ containers: hasGuest ? 1 : 0 });
    }
  });

  test("the last member leaves while another one accepts: the new member keeps the container", async () => {
    const box = await fullBox();
    let guest: Box | undefined;
    const answer = await overtake(
      server.db,
      box.id,
      () => leave(device, box),
      async (transaction) => {
        // As accepting does: under the container's lock.
        guest = await addKey(transaction, box);
      },
    );
    expectEmptyOk(answer);
    expect(await remainsOf(box)).toMatchObject({ containers: 1, entries: 1, access_keys: 1 });
    expect((await device.read(guest ?? box)).entries).toHaveLength(1);
  });

  test("a member who left while the leaving of the last one waited does not keep the container", async () => {
    const box = await fullBox();
    const guest = await addKey(server.db, box);
    const answer = await overtake(
      server.db,
      box.id,
      () => leave(device, box),
      (transaction) => queries.leave(transaction, { key_id: guest.key_id, container_id: box.id }),
    );
    expectEmptyOk(answer);
    expect(await remainsOf(box)).toEqual(NOTHING);
  });

  test.each(WRITES)(
    "%s that waits behind the leaving of its own key is CONTAINER_DOES_NOT_EXIST",
    async (_route, write) => {
      const target = await newWriteTarget(device);
      const guest = await addKey(server.db, target.box);
      const before = await changesSince(server.db, target.box.id, 0n);
      const answer = await overtake(
        server.db,
        target.box.id,
        () => write(device, { ...target, box: guest }),
        (transaction) => queries.leave(transaction, { key_id: guest.key_id, container_id: guest.id }),
      );
      expectError(answer, "CONTAINER_DOES_NOT_EXIST");
      expect(await changesSince(server.db, target.box.id, 0n)).toEqual(before);
      await expectHeadIsExact(server.db, target.box.id);
    },
  );

  test.each(WRITES)("%s that waits behind the leaving of another member succeeds", async (_route, write) => {
    const target = await newWriteTarget(device);
    const guest = await addKey(server.db, target.box);
    const answer = await overtake(
      server.db,
      target.box.id,
      () => write(device, target),
      (transaction) => queries.leave(transaction, { key_id: guest.key_id, container_id: guest.id }),
    );
    expect(answer.status).toBeLessThan(300);
    await expectHeadIsExact(server.db, target.box.id);
  });

  test("while eight writers write, the last member leaves: nothing remains and nobody gets a 5xx; 6 rounds", async () => {
    for (let round = 0; round < 6; round++) {
      const target = await newWriteTarget(device);
      async function writeUntilGone(by: Device, turn: number): Promise<Answer<unknown>[]> {
        const answers: Answer<unknown>[] = [];
        for (let next = turn; answers.at(-1)?.error?.err_type !== "CONTAINER_DOES_NOT_EXIST"; next++) {
          const [, write] = WRITES[next % WRITES.length] ?? [];
          if (!write) throw new Error("there are no writes");
          answers.push(await write(by, target));
        }
        return answers;
      }
      const writers = times(8, (index) => writeUntilGone(index % 2 ? device : other, index));
      await Bun.sleep(round * 5);
      expectEmptyOk(await leave(other, target.box));
      const answers = (await Promise.all(writers)).flat();
      expect(answers.filter(({ status }) => status >= 500)).toEqual([]);
      expect(await remainsOf(target.box)).toEqual(NOTHING);
    }
  });
});
