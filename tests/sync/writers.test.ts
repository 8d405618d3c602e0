/** C6: readers that poll `changes` while 8 writers in two processes write, and a purge takes what it can. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { runJob } from "../jobs/jobRows.ts";
import type { Box } from "../support/client.ts";
import { anyDevice } from "../support/containerCalls.ts";
import { expectHeadIsExact, headOf } from "../support/containerRows.ts";
import { Writer } from "../support/histories.ts";
import { seededRandom } from "../support/races.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { SyncClient } from "../support/syncClient.ts";
import { ageTombstones, expectSameAsFetched } from "./copies.ts";

let server: TestServer;
/** A second process on the same database. */
let sibling: TestServer;
beforeAll(async () => {
  server = await startTestServer();
  sibling = await startTestServer({}, server.database);
});
afterAll(async () => {
  await sibling.stop();
  await server.stop();
});

const EXPECTED_REFUSALS = [
  "OUT_OF_DATE",
  "FOREIGN_KEY_DOES_NOT_EXIST",
  "ENTRY_DOES_NOT_EXIST",
  "CATEGORY_DOES_NOT_EXIST",
];

interface Race {
  changes: number;
  seed: number;
  meanwhile?: (box: Box) => Promise<unknown>;
}

/** Lets 8 writers make so many changes, one reader with pages of a few KB and one with large ones beside them. */
async function race({ changes, seed, meanwhile }: Race) {
  const box = await anyDevice(server).createContainer();
  const writers = Array.from({ length: 8 }, (_, index) => {
    const device = anyDevice(index % 2 === 0 ? server : sibling, index % 4 < 2 ? "protobuf" : "json");
    return new Writer(device, box, seededRandom(seed * 100 + index));
  });
  const readers = [
    new SyncClient(anyDevice(sibling), [box], 3_000),
    new SyncClient(anyDevice(server), [box]),
    new SyncClient(anyDevice(server, "json"), [box], 20_000),
  ];
  // Is away from the first row on, until all is over.
  const away = new SyncClient(anyDevice(server), [box], 3_000);
  await away.poll();
  let isOver = false;
  const whileWriting = async (work: () => Promise<unknown>) => {
    while (!isOver) {
      await work();
      await Bun.sleep(1);
    }
  };
  const others = [
    ...readers.map((reader) => whileWriting(() => reader.poll())),
    ...(meanwhile ? [whileWriting(() => meanwhile(box))] : []),
  ];
  let written = 0;
  const write = async (writer: Writer) => {
    while (written < changes) {
      await writer.step();
      if ((writer.answers.at(-1)?.status ?? 500) < 300) written++;
    }
  };
  await Promise.all(writers.map(write)).finally(() => {
    isOver = true;
  });
  await Promise.all(others);
  // Beside the writers each may have found the container locked.
  await meanwhile?.(box);
  for (const reader of [...readers, away]) {
    await reader.catchUp();
    await expectSameAsFetched(reader.copyOf(box), anyDevice(server), box);
  }
  for (const { status, error } of writers.flatMap(({ answers }) => answers)) {
    if (status >= 300) expect(EXPECTED_REFUSALS).toContain(error?.err_type ?? String(status));
  }
  await expectHeadIsExact(server.db, box.id);
  return { box, readers, away };
}

test("C6: after 5,000 changes readers with small and with large pages have exactly the writers' rows", async () => {
  const { box, readers, away } = await race({ changes: 5_000, seed: 1 });
  expect((await headOf(server.db, box.id)).last_sequence).toBeGreaterThan(5_000n);
  for (const reader of readers) {
    expect(reader.polls).toBeGreaterThan(100);
    expect(reader.resets).toBe(0);
  }
  expect(away.resets).toBe(0);
});

test("C6, C10: the same beside purges of everything that is deleted", async () => {
  const meanwhile = async (box: Box) => {
    await ageTombstones(server.db, box);
    await runJob(sibling, "Purge Tombstones");
  };
  const { away } = await race({ changes: 1_500, seed: 2, meanwhile });
  expect(away.resets).toBe(1);
});
