/** P7: of several cookies with one name the first valid one counts, but a header full of them costs few queries. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import { Box } from "../support/client.ts";
import { anyDevice, expectError } from "../support/containerCalls.ts";
import { createTestDatabase } from "../support/database.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { watchStatements } from "../support/statements.ts";

let server: TestServer;
let watched: ReturnType<typeof watchStatements>;
beforeAll(async () => {
  watched = watchStatements(await createTestDatabase());
  server = await startTestServer({}, watched.database);
});
afterAll(() => server.stop());

const { privateKey } = generateKeyPairSync("ed25519");
/** Well-formed tokens that open nothing. */
const strangers = (count: number) =>
  Array.from({ length: count }, () => new Box(crypto.randomUUID(), crypto.randomUUID(), privateKey).token());

test("P7: the eighth container token in cookies still counts, the ninth does not; each costs at most one query", async () => {
  const device = anyDevice(server);
  const box = await device.createContainer();
  const listMembers = (tokens: string[]) => {
    const cookie = tokens.map((token) => `x-container-access-token=${encodeURIComponent(token)}`).join("; ");
    return device.client.call("GET", "/api/container/member", { headers: { ...device.headers(), cookie } });
  };
  expect((await listMembers([...strangers(7), box.token()])).status).toBe(200);
  watched.take();
  expectError(await listMembers([...strangers(200), box.token()]), "CONTAINER_DOES_NOT_EXIST");
  expect(watched.take().length).toBeLessThanOrEqual(8);
});
