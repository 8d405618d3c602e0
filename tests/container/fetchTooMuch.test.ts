/** containers.md 8: the size of an answer has a limit, without locking anybody out of a container. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Box, Device } from "../support/client.ts";
import { anyDevice, expectError } from "../support/containerCalls.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

let server: TestServer;
let device: Device;
beforeAll(async () => {
  server = await startTestServer();
  device = anyDevice(server);
});
afterAll(() => server.stop());

/** Puts entries into a container. Their blobs are stored compressed, but are sent in full. */
async function fill({ id }: Box, entries: number, bytesEach: number): Promise<void> {
  await server.db`
    insert into entries (id, container_id, encrypted_blob, version_nonce, modified_timestamp, sequence)
    select gen_random_uuid(), ${id}, convert_to(repeat('x', ${bytesEach}), 'UTF8'), 1, timezone('utc', now()), 1 + number
    from generate_series(1, ${entries}::integer) as number`;
  await server.db`update container_heads set last_sequence = ${1 + entries} where container_id = ${id}`;
}

test("8: several containers of more than 100 MiB are TOO_MANY_REQUESTED, one alone comes whole", async () => {
  const [large, small] = [await device.createContainer(), await device.createContainer()];
  await fill(large, 5_100, 21_000);
  await fill(small, 10, 10);
  expectError(await device.fetch([large.token(), small.token()]), "TOO_MANY_REQUESTED");
  expect((await device.read(large)).entries).toHaveLength(5_100);
  expect((await device.read(small)).entries).toHaveLength(10);
}, 30_000);

test("8: many small rows are no reason to refuse, nor is the same container twice", async () => {
  const [one, other] = [await device.createContainer(), await device.createContainer()];
  for (const box of [one, other]) await fill(box, 6_000, 10);
  const both = await device.fetch([one.token(), other.token(), one.freshToken()]);
  expect(both.value?.containers.map(({ entries }) => entries.length)).toEqual([6_000, 6_000]);
}, 30_000);
