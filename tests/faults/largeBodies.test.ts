/** Large bodies that come slowly, and many at once: what they take of the memory has a limit. */
import { afterAll, afterEach, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { routes } from "../../src/app.ts";
import { BulkUploadContainer } from "../../src/container/messages.ts";
import { wholeContainersBodyBytesMax } from "../../src/http/sizes.ts";
import type { Device } from "../support/client.ts";
import { anyDevice } from "../support/containerCalls.ts";
import { expectOverloadedResponse, until } from "../support/overload.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { listen, UNLIMITED } from "../support/socket.ts";
import { newEntry, newUpload } from "../support/uploadCalls.ts";

setDefaultTimeout(60_000);

const MIB = 1024 * 1024;

let server: TestServer;
let listening: ReturnType<typeof listen>;
const sockets = new Set<Socket>();
beforeAll(async () => {
  server = await startTestServer({ ...UNLIMITED, ENTRIES_LARGE_MESSAGES_MAX_MB: "16" });
  listening = listen(server);
});
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  await until(() => held() === 0);
});
afterAll(async () => {
  await listening.stop();
  await server.stop();
});

const held = () => server.services.bounds.bodyBytes.used;

/** Announces 90 MB, sends some of it and stops. */
function sendHalf(device: Device, bytes: number): void {
  const socket = connect(listening.port, "127.0.0.1", () => {
    socket.write(
      `POST /api/container/upload HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/protobuf\r\n` +
        `x-access-token: ${device.accessToken}\r\ncontent-length: 90000000\r\n\r\n`,
    );
    socket.write(new Uint8Array(bytes));
  });
  socket.on("error", () => {});
  sockets.add(socket);
}

/** An upload of about so many MiB that is right in everything. */
function uploadOf(mib: number): Uint8Array<ArrayBuffer> {
  const encrypted_blob = Buffer.alloc(4096, 1);
  const entries = Array.from({ length: mib * 256 }, (_, index) => newEntry(index, { encrypted_blob }));
  return BulkUploadContainer.encodeProtobuf(newUpload({ categories: [], entries }).container);
}

const post = (device: Device, body: Uint8Array<ArrayBuffer>) =>
  fetch(`http://127.0.0.1:${listening.port}/api/container/upload`, {
    method: "POST",
    headers: { "content-type": "application/protobuf", "x-access-token": device.accessToken },
    body,
  });

test("W11: bodies that do not come to their end take a bounded part of the memory; beyond it 503, and afterwards all is well", async () => {
  for (let clients = 0; clients < 3; clients++) {
    sendHalf(anyDevice(server), 4 * MIB);
    await until(() => held() >= (clients + 1) * 3.5 * MIB);
  }
  await expectOverloadedResponse(await post(anyDevice(server), uploadOf(8)));
  expect(held()).toBeLessThanOrEqual(16 * MIB);
  // What is small is not counted.
  expect((await post(anyDevice(server), uploadOf(0))).status).toBe(201);

  for (const socket of sockets) socket.destroy();
  await until(() => held() === 0);
  expect((await post(anyDevice(server), uploadOf(8))).status).toBe(201);
});

test("W11: one account cannot take it all", async () => {
  const device = anyDevice(server);
  sendHalf(device, 4 * MIB);
  await until(() => held() >= 3.5 * MIB);
  await expectOverloadedResponse(await post(device, uploadOf(3)));
  expect((await post(anyDevice(server), uploadOf(3))).status).toBe(201);
});

test("W11: of many large uploads at once a few are worked on, a few wait, and the rest is refused; afterwards all is well", async () => {
  const roomy = await startTestServer({ ...UNLIMITED, ENTRIES_LARGE_MESSAGES_MAX_MB: "1024" }, server.database);
  const { wholeContainers } = roomy.services.bounds;
  const body = uploadOf(1);
  let most = 0;
  const upload = async () => {
    const headers = { "content-type": "application/protobuf", ...anyDevice(roomy).headers() };
    const request = new Request("http://localhost/api/container/upload", { method: "POST", headers, body });
    const answer = await roomy.app.handle(request);
    most = Math.max(most, wholeContainers.running);
    return answer;
  };
  const answers = await Promise.all(Array.from({ length: 20 }, upload));
  const refused = answers.filter(({ status }) => status === 503);
  expect(answers.filter(({ status }) => status === 201)).toHaveLength(10);
  expect(refused).toHaveLength(10);
  for (const answer of refused) await expectOverloadedResponse(answer);
  expect(most).toBeLessThanOrEqual(2);
  expect((await upload()).status).toBe(201);
  expect(wholeContainers.pending).toBe(0);
  await roomy.stop();
});

test("every route that takes whole containers has a limit for the elements of a body: tiny ones take most memory", () => {
  const large = routes.filter(({ spec }) => spec.bodyBytesMax === wholeContainersBodyBytesMax);
  expect(large.map(({ spec }) => spec.path).toSorted()).toEqual([
    "/api/container/bulk-upload",
    "/api/container/rekey",
    "/api/container/upload",
  ]);
  for (const { spec } of large) expect(spec.bodyElementsMax?.(server.services.config)).toBeLessThan(2_200_000);
});
