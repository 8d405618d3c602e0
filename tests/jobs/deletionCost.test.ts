/** E5: what the deletion of an account costs does not grow with its containers. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Box } from "../support/client.ts";
import { createTestDatabase } from "../support/database.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { type WatchedDatabase, watchStatements } from "../support/statements.ts";
import { confirm, listKeys, remaining, signUp } from "./dueAccounts.ts";
import { noteDeletes, runJob } from "./jobRows.ts";

const CONTAINERS = 12;

let server: TestServer;
let watch: WatchedDatabase;
beforeAll(async () => {
  watch = watchStatements(await createTestDatabase());
  server = await startTestServer({}, watch.database);
});
afterAll(() => server.stop());

/** Runs the job for an account with so many containers. @returns the statements that the server sent */
async function deleteAccountWith(containers: number): Promise<number> {
  const account = await signUp(server);
  const boxes: Box[] = [];
  while (boxes.length < containers) boxes.push(await account.createContainer());
  await listKeys(server, account, boxes);
  await confirm(server, account);
  watch.take();
  expect(await runJob(server, "Delete Users")).toBe(1);
  const statements = watch.take().length;
  expect(await remaining(server.db, boxes)).toEqual([]);
  return statements;
}

test("E5: an account with many containers takes as many statements as one with one, each for all containers", async () => {
  const one = await deleteAccountWith(1);
  const keyDeletes = await noteDeletes(server.db, "container_access_keys");
  const containerDeletes = await noteDeletes(server.db, "containers");

  expect(await deleteAccountWith(CONTAINERS)).toBe(one);
  expect(await keyDeletes.sizes()).toEqual([CONTAINERS]);
  expect(await containerDeletes.sizes()).toEqual([CONTAINERS]);
});
