import { afterAll, beforeAll, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import type { Answer } from "../support/client.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

/** Ends every connection of the pool, as a restarted PostgreSQL or an administrator does. */
async function killConnections(): Promise<void> {
  const admin = server.database.connect();
  await admin`
    select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid()`;
  await admin.end();
}

/** Fails loudly instead of hanging for ever. */
async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  const late = Bun.sleep(ms).then(() => Promise.reject(new Error(`no answer within ${ms} ms`)));
  return Promise.race([work, late]);
}

test("W11: connections that are ended under load cost 503s, and every later request is answered; 8 times over", async () => {
  const device = await server.signUp();
  const box = await device.createContainer();
  const entry_id = await device.createEntry(box);
  const category_id = await device.createCategory(box);
  let isOver = false;
  const statuses = new Map<number, number>();

  async function write(index: number): Promise<void> {
    while (!isOver) {
      const answer: Answer<unknown> = await within(
        10_000,
        index % 3 === 0 ? device.deleteCategory(box, category_id) : device.deleteEntry(box, entry_id),
      );
      statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
    }
  }

  const writers = Array.from({ length: 16 }, (_, index) => write(index));
  for (let round = 0; round < 8; round++) {
    await Bun.sleep(100);
    await killConnections();
  }
  await Bun.sleep(500);
  isOver = true;
  await Promise.all(writers);

  expect([...statuses.keys()].toSorted()).toEqual([200, 503]);
  const after = await Promise.all(
    Array.from({ length: 30 }, () => within(5000, device.createEntry(box, { encrypted_blob: randomBytes(8) }))),
  );
  expect(new Set(after).size).toBe(30);
});
