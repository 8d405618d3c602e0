/** Clients that ask for much and read slowly, or not at all: what waits for them in memory has a limit. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { connect } from "node:net";
import { createApp } from "../../src/app.ts";
import { openGetBodyBridge } from "../../src/run/getBodyBridge.ts";
import type { Box, Device } from "../support/client.ts";
import { anyDevice } from "../support/containerCalls.ts";
import { expectOverloadedResponse, until } from "../support/overload.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { UNLIMITED } from "../support/socket.ts";

setDefaultTimeout(60_000);

const MIB = 1024 * 1024;
/** More than the operating system takes for a client that reads nothing, on this machine at least. */
const ANSWER_MIB = 16;
const BUDGET_MIB = 40;

let server: TestServer;
let app: ReturnType<typeof createApp>;
let port: number;
let box: Box;
const starers = new Set<Starer>();
beforeAll(async () => {
  server = await startTestServer({ ...UNLIMITED, ENTRIES_LARGE_MESSAGES_MAX_MB: String(BUDGET_MIB) });
  app = createApp(server.services);
  app.listen({ port: 0, hostname: "127.0.0.1" });
  port = app.server?.port ?? 0;
  box = await anyDevice(server).createContainer();
  await server.db`
    insert into entries (id, container_id, encrypted_blob, version_nonce, modified_timestamp, sequence)
    select gen_random_uuid(), ${box.id}, convert_to(repeat('x', 65536), 'UTF8'), 1, timezone('utc', now()), 1 + number
    from generate_series(1, ${ANSWER_MIB * 16}::integer) as number`;
});
afterAll(async () => {
  for (const starer of starers) starer.kill();
  await app.server?.stop(true);
  await server.stop();
});

const headersOf = (device: Device, accept: string) => ({
  "x-access-token": device.accessToken,
  "x-container-access-token": box.token(),
  accept,
  "accept-encoding": "identity",
});

type Starer = Bun.Subprocess<"ignore", "ignore", "ignore">;

/** Sends a request and reads nothing. A process of its own: a paused socket of the runtime may read all the same. */
function stareAt(at: number, request: string): Starer {
  const script = `exec 3<>/dev/tcp/127.0.0.1/${at}; printf %s "$1" >&3; exec sleep 60`;
  const starer = Bun.spawn(["bash", "-c", script, "bash", request], {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "ignore",
  });
  starers.add(starer);
  return starer;
}

function askAndStare(device: Device, at = port): Starer {
  const lines = Object.entries(headersOf(device, "application/protobuf")).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  );
  return stareAt(at, `GET /api/container HTTP/1.1\r\nhost: localhost\r\n${lines.join("")}\r\n`);
}

const ask = (device: Device, accept = "application/protobuf") =>
  fetch(`http://127.0.0.1:${port}/api/container`, { headers: headersOf(device, accept) });

const budget = () => server.services.bounds.answerBytes;
const heldMib = () => Math.floor(budget().used / MIB);

test("a large answer that is read comes whole, and is not counted any longer", async () => {
  for (const accept of ["application/protobuf", "application/json"]) {
    const answer = await ask(anyDevice(server), accept);
    expect(answer.status).toBe(200);
    expect((await answer.bytes()).length).toBeGreaterThan(ANSWER_MIB * MIB);
  }
  await until(() => budget().used === 0);
});

test("W11: answers that nobody reads have a limit: who asks beyond it gets 503, whoever holds none gets theirs once there is room", async () => {
  const slow = [anyDevice(server), anyDevice(server)];
  const staring = slow.map((device) => askAndStare(device));
  await until(() => heldMib() === 2 * ANSWER_MIB);

  for (const accept of ["application/protobuf", "application/json"]) {
    await expectOverloadedResponse(await ask(anyDevice(server), accept));
  }
  expect(heldMib()).toBe(2 * ANSWER_MIB);
  // What is small is answered meanwhile.
  expect((await fetch(`http://127.0.0.1:${port}/api/heartbeat`)).status).toBe(200);

  for (const starer of staring) starer.kill();
  await until(() => budget().used === 0);
  const answer = await ask(anyDevice(server));
  expect(answer.status).toBe(200);
  await answer.bytes();
  await until(() => budget().used === 0);
});

test("W11: one account cannot take it all", async () => {
  const device = anyDevice(server);
  askAndStare(device);
  await until(() => heldMib() === ANSWER_MIB);
  await expectOverloadedResponse(await ask(device));
  const answer = await ask(anyDevice(server));
  expect(answer.status).toBe(200);
  await answer.bytes();
  await until(() => heldMib() === ANSWER_MIB);
});

test("W16: a client that reads nothing is cut off by the idle timeout, and its answer is dropped", async () => {
  for (const starer of starers) starer.kill();
  await until(() => budget().used === 0);
  const impatient = createApp(server.services, 3);
  impatient.listen({ port: 0, hostname: "127.0.0.1" });
  askAndStare(anyDevice(server), impatient.server?.port);
  await until(() => heldMib() === ANSWER_MIB);
  await until(() => budget().used === 0);
  await until(() => impatient.server?.pendingRequests === 0);
  await impatient.server?.stop(true);
});

test("W2: the same holds on the port for GETs with a body", async () => {
  const bridge = await openGetBodyBridge(server.services, { host: "127.0.0.1", port: 0 }, 3);
  const device = anyDevice(server);
  const text = JSON.stringify({ tokens: [box.token()] });
  const request = [
    "GET /api/container HTTP/1.1",
    "host: localhost",
    "content-type: application/json",
    `x-access-token: ${device.accessToken}`,
    "accept: application/protobuf",
    `content-length: ${text.length}`,
  ];
  const whole = `${request.join("\r\n")}\r\n\r\n${text}`;
  stareAt(bridge.port, whole);
  await until(() => heldMib() === ANSWER_MIB);
  await until(() => budget().used === 0); // cut off, too

  let bytes = 0;
  const reader = connect(bridge.port, "127.0.0.1", () => reader.write(whole));
  reader.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
  });
  await until(() => bytes > ANSWER_MIB * MIB);
  await until(() => budget().used === 0);
  reader.destroy();
  await bridge.stop();
});
