/** C6, C8, C9: readers of `changes` beside writers, re-keyings, purges, and members who come and go, in two processes. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { runJob } from "../jobs/jobRows.ts";
import { addKey, anyDevice, expectEmptyOk, expectError, putContainer } from "../support/containerCalls.ts";
import { expectHeadIsExact } from "../support/containerRows.ts";
import { Writer } from "../support/histories.ts";
import { putRekey, rekeyOf, removeMember } from "../support/memberCalls.ts";
import { seededRandom } from "../support/races.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { SyncClient } from "../support/syncClient.ts";
import { ageTombstones, expectSameAsFetched } from "./copies.ts";

const CHANGES = 600;

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

test("C6, C8, C9: in the end every reader has exactly what a fetch shows, and nothing was a 5xx", async () => {
  const [here, there] = [anyDevice(server), anyDevice(sibling, "json")];
  const box = await here.createContainer();
  const keys = await Promise.all(Array.from({ length: 6 }, () => addKey(server.db, box)));
  const writers = keys.map((key, index) => new Writer(index % 2 === 0 ? here : there, key, seededRandom(500 + index)));
  const readers = [new SyncClient(there, [box], 3_000), new SyncClient(here, [box])];
  const rekeyed: (string | number)[] = [];
  let isOver = false;
  const meanwhile = async (work: () => Promise<unknown>) => {
    while (!isOver) {
      await work();
      await Bun.sleep(1);
    }
  };

  const rekey = async () => {
    const { status, error } = await putRekey(here, box, await rekeyOf(here, box));
    rekeyed.push(error?.err_type ?? status);
  };
  const purge = async () => {
    await ageTombstones(server.db, box);
    await runJob(sibling, "Purge Tombstones");
  };
  const comeAndGo = async () => {
    const key = await addKey(server.db, box);
    await there.createEntry(key);
    expectEmptyOk(await removeMember(here, box, key.key_id));
    expectError(await putContainer(there, key), "CONTAINER_DOES_NOT_EXIST");
  };
  const others = [...readers.map((reader) => () => reader.poll()), rekey, purge, comeAndGo].map(meanwhile);

  let written = 0;
  const write = async (writer: Writer) => {
    for (; written < CHANGES; written++) await writer.step();
  };
  await Promise.all(writers.map(write)).finally(() => {
    isOver = true;
  });
  await Promise.all(others);
  await rekey(); // nobody is in its way any more

  for (const reader of readers) {
    await reader.catchUp();
    await expectSameAsFetched(reader.copyOf(box), here, box);
  }
  await expectHeadIsExact(server.db, box.id);
  for (const { status } of writers.flatMap(({ answers }) => answers)) expect(status).toBeLessThan(500);
  expect(rekeyed.at(-1)).toBe(200);
  for (const outcome of rekeyed) expect([200, "INVALID_STATE", "OUT_OF_DATE"]).toContain(outcome);
}, 60_000);
