/** GET and DELETE /api/container/member (C8, new-messages.md), and what a removed key still opens: nothing. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { routes } from "../../src/app.ts";
import { container as queries } from "../../src/db/queries.ts";
import type { Answer, Box, Device } from "../support/client.ts";
import {
  addKey,
  anyDevice,
  ENCODINGS,
  expectEmptyOk,
  expectError,
  getContainers,
  putContainer,
  setReadOnly,
  speaking,
} from "../support/containerCalls.ts";
import { changesSince, expectHeadIsExact, expectUnchanged, headOf } from "../support/containerRows.ts";
import { createTestDatabase } from "../support/database.ts";
import { leave, listMembers, removeMember } from "../support/memberCalls.ts";
import { heldUp, overtake } from "../support/races.ts";
import { goodRequest, nameOf, outcomeOf, type Stage, setStage, tokensOf } from "../support/routeCases.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
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

async function keyIdsOf({ id }: Box): Promise<string[]> {
  const rows = await server.db`select key_id from container_access_keys where container_id = ${id} order by key_id`;
  return rows.map((row) => row.key_id);
}

describe.each(ENCODINGS)("members in %s", (encoding) => {
  let by: Device;
  beforeAll(() => {
    by = speaking(encoding, device, server);
  });

  test("C8: the list has every key of this container by id, with its flag, and tells which one is the caller's", async () => {
    const box = await by.createContainer();
    await addKey(server.db, await by.createContainer());
    expect((await listMembers(by, box)).value).toEqual({
      keys: [{ key_id: box.key_id, read_only: false, is_own: true }],
    });
    const guest = await addKey(server.db, box);
    const reader = await addKey(server.db, box, { read_only: true });
    const expected = [
      { key_id: box.key_id, read_only: false, is_own: false },
      { key_id: guest.key_id, read_only: false, is_own: true },
      { key_id: reader.key_id, read_only: true, is_own: false },
    ].sort((a, b) => (a.key_id < b.key_id ? -1 : 1));
    const answer = await listMembers(by, guest);
    expect({ status: answer.status, value: answer.value }).toEqual({ status: 200, value: { keys: expected } });
  });

  test("C8: a read-only key neither lists nor removes: READ_ONLY_ACCESS", async () => {
    const box = await by.createContainer();
    const reader = await addKey(server.db, box, { read_only: true });
    await expectUnchanged(server.db, async () => {
      expectError(await listMembers(by, reader), "READ_ONLY_ACCESS");
      expectError(await removeMember(by, reader, box.key_id), "READ_ONLY_ACCESS");
      expectError(await removeMember(by, reader, reader.key_id), "READ_ONLY_ACCESS");
    });
  });

  test("C8: a key that became read-only after its token was verified is READ_ONLY_ACCESS", async () => {
    const box = await by.createContainer();
    const guest = await addKey(server.db, box);
    expect((await listMembers(by, guest)).status).toBe(200);
    await setReadOnly(server.db, guest, true);
    expectError(await listMembers(by, guest), "READ_ONLY_ACCESS");
    expectError(await removeMember(by, guest, box.key_id), "READ_ONLY_ACCESS");
    expect(await keyIdsOf(box)).toHaveLength(2);
  });

  test("C8: removing a member takes its key alone; no row of the container changes or gets a number", async () => {
    const { box } = await newWriteTarget(by);
    const [guest, reader] = [await addKey(server.db, box), await addKey(server.db, box, { read_only: true })];
    const [before, head] = [await changesSince(server.db, box.id, 0n), await headOf(server.db, box.id)];
    expectEmptyOk(await removeMember(by, box, guest.key_id));
    expect(await keyIdsOf(box)).toEqual([box.key_id, reader.key_id].sort());
    expectEmptyOk(await removeMember(by, box, reader.key_id));
    expect(await keyIdsOf(box)).toEqual([box.key_id]);
    expect(await changesSince(server.db, box.id, 0n)).toEqual(before);
    expect(await headOf(server.db, box.id)).toEqual(head);
    expect((await listMembers(by, box)).value?.keys.map(({ key_id }) => key_id)).toEqual([box.key_id]);
  });

  test("new-messages.md: the own key is INVALID_STATE, also as the only one", async () => {
    const box = await by.createContainer();
    const guest = await addKey(server.db, box);
    await expectUnchanged(server.db, async () => {
      for (const key of [box, guest]) expectError(await removeMember(by, key, key.key_id), "INVALID_STATE");
    });
  });

  test("new-messages.md: an unknown key and one of another container are KEY_DOES_NOT_EXIST", async () => {
    const box = await by.createContainer();
    const stranger = await addKey(server.db, await by.createContainer());
    await expectUnchanged(server.db, async () => {
      expectError(await removeMember(by, box, crypto.randomUUID()), "KEY_DOES_NOT_EXIST");
      expectError(await removeMember(by, box, stranger.key_id), "KEY_DOES_NOT_EXIST");
    });
    const guest = await addKey(server.db, box);
    expectEmptyOk(await removeMember(by, box, guest.key_id));
    expectError(await removeMember(by, box, guest.key_id), "KEY_DOES_NOT_EXIST");
  });

  test("7: who was removed is CONTAINER_DOES_NOT_EXIST, whatever it wants to remove", async () => {
    const box = await by.createContainer();
    const [guest, third] = [await addKey(server.db, box), await addKey(server.db, box)];
    expect((await listMembers(by, guest)).status).toBe(200);
    expectEmptyOk(await removeMember(by, box, guest.key_id));
    for (const key_id of [guest.key_id, box.key_id, third.key_id, crypto.randomUUID()]) {
      expectError(await removeMember(by, guest, key_id), "CONTAINER_DOES_NOT_EXIST");
    }
    expectError(await listMembers(by, guest), "CONTAINER_DOES_NOT_EXIST");
    expect(await keyIdsOf(box)).toHaveLength(2);
  });
});

describe("C8: a removed member's key is refused at once, everywhere", () => {
  const WITH_TOKEN_IN_BODY = ["POST /api/container/query", "POST /api/container/changes", "DELETE /api/user"];
  const opened = routes.filter(
    (route) =>
      !route.spec.isStream && (tokensOf(route).includes("container") || WITH_TOKEN_IN_BODY.includes(nameOf(route))),
  );

  test.each(opened.map((route) => [nameOf(route), route] as const))(
    "%s is CONTAINER_DOES_NOT_EXIST in both processes, though they had verified the token",
    async (_name, route) => {
      const stage = await setStage(server);
      const guest = await addKey(server.db, stage.box);
      const asGuest: Stage = { ...stage, box: guest, spare: guest };
      for (const by of [device, other]) expect((await by.fetch([guest.token()])).status).toBe(200);
      for (const by of [device, other]) expect((await listMembers(by, guest)).status).toBe(200);
      const request = await goodRequest(asGuest, route, "protobuf");

      expectEmptyOk(await removeMember(device, stage.box, guest.key_id));
      for (const process of [server, sibling]) {
        const { status, type } = await outcomeOf({ ...asGuest, server: process }, request);
        expect({ status, type }).toEqual({ status: 404, type: "CONTAINER_DOES_NOT_EXIST" });
      }
    },
  );

  test("a list with one removed key is refused as a whole, and the others' keys still open", async () => {
    const box = await device.createContainer();
    const [guest, third] = [await addKey(server.db, box), await addKey(server.db, box)];
    for (const by of [device, other]) await by.fetch([guest.token(), third.token()]);
    expectEmptyOk(await removeMember(other, box, guest.key_id));
    for (const by of [device, other]) {
      expectError(await by.fetch([third.token(), guest.token()]), "CONTAINER_DOES_NOT_EXIST");
      expectError(await getContainers(by, `${box.token()},${guest.token()}`), "CONTAINER_DOES_NOT_EXIST");
      expect((await by.fetch([third.token()])).status).toBe(200);
    }
    expectEmptyOk(await putContainer(other, third));
  });
});

describe("C1, C8: races", () => {
  test("every route that may write is among WRITES of support/writes.ts, or changes nothing that has a number", () => {
    const without = ["GET /api/container/member", "DELETE /api/container/member", "POST /api/container/invitation"];
    const writing = routes.filter(({ spec }) => spec.tokens.container === "write").map(nameOf);
    const known = [...WRITES.map(([route]) => route), ...without];
    expect(writing.sort(), "a new route: add it to WRITES of tests/support/writes.ts").toEqual(known.sort());
  });

  const removals: [
    string,
    (box: Box, guest: Box) => (transaction: Parameters<typeof queries.leave>[0]) => Promise<unknown>,
  ][] = [
    [
      "the removal",
      (box, guest) => (transaction) =>
        queries.remove_member(transaction, {
          key_id: box.key_id,
          container_id: box.id,
          removed_key_id: guest.key_id,
        }),
    ],
    [
      "the removal by hand",
      (_box, guest) => (transaction) => transaction`delete from container_access_keys where key_id = ${guest.key_id}`,
    ],
  ];

  describe.each(removals)("a write that waits behind %s of its key", (_how, remove) => {
    test.each(WRITES)("%s is CONTAINER_DOES_NOT_EXIST and changes nothing", async (_route, write) => {
      const target = await newWriteTarget(device);
      const guest = await addKey(server.db, target.box);
      const before = await changesSince(server.db, target.box.id, 0n);
      for (const by of [device, other]) {
        const member = by === device ? guest : await addKey(server.db, target.box);
        const answer = await overtake(
          server.db,
          target.box.id,
          () => write(by, { ...target, box: member }),
          remove(target.box, member),
        );
        expectError(answer, "CONTAINER_DOES_NOT_EXIST");
      }
      expect(await changesSince(server.db, target.box.id, 0n)).toEqual(before);
      await expectHeadIsExact(server.db, target.box.id);
    });
  });

  test.each(WRITES)("%s that waits behind the removal of another member succeeds", async (_route, write) => {
    const target = await newWriteTarget(device);
    const guest = await addKey(server.db, target.box);
    const removal = { key_id: target.box.key_id, container_id: guest.id, removed_key_id: guest.key_id };
    const answer = await overtake(
      server.db,
      target.box.id,
      () => write(device, target),
      (transaction) => queries.remove_member(transaction, removal),
    );
    expect(answer.status).toBeLessThan(300);
    await expectHeadIsExact(server.db, target.box.id);
  });

  function expectOne(answers: Answer<unknown>[], loser: Parameters<typeof expectError>[1]): void {
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1);
    for (const answer of answers) if (answer.status !== 200) expectError(answer, loser);
  }

  test("two members who remove each other at once: exactly one stays; 20 rounds", async () => {
    for (let round = 0; round < 20; round++) {
      const box = await device.createContainer();
      const guest = await addKey(server.db, box);
      const answers = await Promise.all([
        removeMember(device, box, guest.key_id),
        removeMember(other, guest, box.key_id),
      ]);
      expectOne(answers, "CONTAINER_DOES_NOT_EXIST");
      expect(await keyIdsOf(box)).toEqual([answers[0]?.status === 200 ? box.key_id : guest.key_id]);
    }
  });

  test("two who wait for the lock to remove each other: the second is gone before it can", async () => {
    const box = await device.createContainer();
    const guest = await addKey(server.db, box);
    const answers = await heldUp(
      server.db,
      (transaction) => transaction`select from container_heads where container_id = ${box.id} for update`,
      [() => removeMember(device, box, guest.key_id), () => removeMember(other, guest, box.key_id)],
    );
    expectOne(answers, "CONTAINER_DOES_NOT_EXIST");
    expect(await keyIdsOf(box)).toHaveLength(1);
  });

  test("one member removed many times at once is 200 once, then KEY_DOES_NOT_EXIST", async () => {
    const box = await device.createContainer();
    const guest = await addKey(server.db, box);
    const answers = await Promise.all(
      times(10, (index) => removeMember(index % 2 ? device : other, box, guest.key_id)),
    );
    expectOne(answers, "KEY_DOES_NOT_EXIST");
  });

  test("a member removed while it leaves: one of the two did it, and the container stays; 20 rounds", async () => {
    for (let round = 0; round < 20; round++) {
      const box = await device.createContainer();
      const guest = await addKey(server.db, box);
      const [removed, left] = await Promise.all([removeMember(device, box, guest.key_id), leave(other, guest)]);
      if (removed.status === 200) expectError(left, "CONTAINER_DOES_NOT_EXIST");
      else {
        expectError(removed, "KEY_DOES_NOT_EXIST");
        expectEmptyOk(left);
      }
      expect(await keyIdsOf(box)).toEqual([box.key_id]);
      expect((await device.fetch([box.token()])).status).toBe(200);
    }
  });

  test("the remover leaves at the same time: the container is left to whom it is, or gone with the last", async () => {
    for (let round = 0; round < 20; round++) {
      const box = await device.createContainer();
      const guest = await addKey(server.db, box);
      const [removed, left] = await Promise.all([removeMember(device, box, guest.key_id), leave(other, box)]);
      expectEmptyOk(left);
      const [container] = await server.db`select from containers where id = ${box.id}`;
      if (removed.status === 200) {
        expect(container).toBeUndefined();
      } else {
        expectError(removed, "CONTAINER_DOES_NOT_EXIST");
        expect(await keyIdsOf(box)).toEqual([guest.key_id]);
      }
    }
  });

  test("while a member writes from two processes, it is removed: nothing of it is stored after the answer; 6 rounds", async () => {
    for (let round = 0; round < 6; round++) {
      const target = await newWriteTarget(device);
      const guest = await addKey(server.db, target.box);
      const asGuest = { ...target, box: guest };
      let isRemoved = false;
      const lateWinners: number[] = [];
      async function writeUntilRefused(by: Device, turn: number): Promise<Answer<unknown>[]> {
        const answers: Answer<unknown>[] = [];
        for (let next = turn; answers.at(-1)?.error?.err_type !== "CONTAINER_DOES_NOT_EXIST"; next++) {
          const [, write] = WRITES[next % WRITES.length] ?? [];
          if (!write) throw new Error("there are no writes");
          const startedLate = isRemoved;
          const answer = await write(by, asGuest);
          if (startedLate && answer.status < 300) lateWinners.push(next);
          answers.push(answer);
        }
        return answers;
      }
      const writers = times(6, (index) => writeUntilRefused(index % 2 ? device : other, index));
      await Bun.sleep(round * 5);
      expectEmptyOk(await removeMember(device, target.box, guest.key_id));
      isRemoved = true;
      const stored = await changesSince(server.db, target.box.id, 0n);
      const answers = (await Promise.all(writers)).flat();
      expect(answers.filter(({ status }) => status >= 500)).toEqual([]);
      expect(lateWinners).toEqual([]);
      expect(await changesSince(server.db, target.box.id, 0n)).toEqual(stored);
      await expectHeadIsExact(server.db, target.box.id);
    }
  });
});
