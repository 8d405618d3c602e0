/**
 * C6: the server, and once its database with it, is killed in the middle of writes. No acknowledged change is lost, and no
 * sequence number is given out again: a client that had them all before goes on from its cursor and has them all after.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import type { Entry } from "../../src/wire/common.ts";
import { ENVIRONMENT } from "../bench/site.ts";
import { freePort } from "../mail/mailSetup.ts";
import { type Box, Client, type Device, Refused } from "../support/client.ts";
import { postEntry, putEntry } from "../support/containerCalls.ts";
import { databasePid, hasEnded, makeFolder, removeFolder, ServerProcess } from "../support/executable.ts";
import { Outbox, signUp } from "../support/outbox.ts";
import { seededRandom } from "../support/races.ts";
import { SyncClient } from "../support/syncClient.ts";
import { expectSameAsFetched } from "./copies.ts";

const MAIN = join(import.meta.dir, "../../src/main.ts");
const WRITERS = 6;
const WRITE_MS = 700;

let folder: string;
let port: number;
let server: ServerProcess;

async function start(): Promise<void> {
  const command = [process.execPath, "--max-http-header-size=65536", MAIN, "--port", String(port)];
  server = new ServerProcess(command, { cwd: folder, env: ENVIRONMENT });
  await server.listening();
}

beforeAll(async () => {
  folder = await makeFolder("entries-test-");
  port = await freePort();
  await start();
});
afterAll(async () => {
  await server.end();
  await removeFolder(folder);
});

/** Writes entries of its own, and remembers what was acknowledged. */
class LonelyWriter {
  /** The nonce of each live entry by its id; undefined once its delete was acknowledged. */
  readonly acknowledged = new Map<string, bigint | undefined>();
  /** The request that the crash left without answer. */
  unanswered: { id?: string; nonce?: bigint } | undefined;
  written = 0;
  readonly #random: () => number;
  #nonce: bigint;

  constructor(
    readonly device: Device,
    readonly box: Box,
    number: number,
  ) {
    this.#random = seededRandom(number);
    this.#nonce = BigInt(number) * 1_000_000n;
  }

  /** Writes until nobody answers. @throws Error when a write is refused */
  async run(): Promise<void> {
    this.unanswered = undefined;
    for (;;) {
      try {
        await this.#write();
        this.written++;
      } catch (error) {
        if (error instanceof Refused) throw error;
        return;
      }
    }
  }

  async #write(): Promise<void> {
    const { device, box, acknowledged } = this;
    const live = [...acknowledged].filter(([, nonce]) => nonce !== undefined);
    const [id, before] = live[Math.floor(this.#random() * live.length)] ?? [];
    const chance = this.#random();
    const nonce = ++this.#nonce;
    if (id === undefined || before === undefined || chance < 0.4) {
      this.unanswered = { nonce };
      const answer = await postEntry(device, box, { version_nonce: nonce });
      acknowledged.set(answer.value?.value ?? refused(answer), nonce);
    } else if (chance < 0.85) {
      this.unanswered = { id, nonce };
      const nonces = { version_nonce: nonce, expected_previous_version_nonce: before };
      const answer = await putEntry(device, box, id, nonces);
      if (answer.status !== 200) refused(answer);
      acknowledged.set(id, nonce);
    } else {
      this.unanswered = { id };
      const answer = await device.deleteEntry(box, id);
      if (answer.status !== 200) refused(answer);
      acknowledged.set(id, undefined);
    }
    this.unanswered = undefined;
  }

  /** Every acknowledged change is among the stored rows; the unanswered one may be, whole or not at all. */
  expectStored(stored: ReadonlyMap<string, Entry>): void {
    const { id, nonce } = this.unanswered ?? {};
    const nonceOf = (entry: Entry | undefined) =>
      entry === undefined || entry.deleted_at !== undefined ? undefined : entry.version_nonce;
    const row = [...stored.values()].find((entry) => (id === undefined ? nonceOf(entry) === nonce : entry.id === id));
    if (this.unanswered && row && nonceOf(row) === nonce) this.acknowledged.set(row.id, nonce);
    for (const [known, expected] of this.acknowledged) {
      expect(stored.has(known)).toBe(true);
      expect(nonceOf(stored.get(known))).toBe(expected);
    }
  }
}

function refused({ status, error }: Awaited<ReturnType<typeof putEntry>>): never {
  throw new Refused("a write", status, error?.err_type, error?.err_message);
}

/** Polls until nobody answers. */
async function pollUntilKilled(client: SyncClient): Promise<void> {
  for (;;) {
    try {
      await client.poll();
    } catch (error) {
      if (error instanceof Refused) throw error;
      return;
    }
  }
}

interface Cast {
  device: Device;
  box: Box;
  writers: readonly LonelyWriter[];
  readers: readonly SyncClient[];
}

/** Lets everybody work, then kills. */
async function crash({ writers, readers }: Cast, victims: "server" | "server and database"): Promise<void> {
  const written = () => writers.reduce((sum, writer) => sum + writer.written, 0);
  const before = written();
  const running = [...writers.map((writer) => writer.run()), ...readers.map(pollUntilKilled)];
  await Bun.sleep(WRITE_MS);
  const database = databasePid(join(folder, "entries-data"));
  if (victims === "server and database") process.kill(database, "SIGKILL");
  server.signal("SIGKILL");
  await Promise.all(running);
  expect(written()).toBeGreaterThan(before + 50);
  expect(writers.filter(({ unanswered }) => unanswered).length).toBeGreaterThan(0);
  expect(await hasEnded(database, 10_000)).toBe(true);
}

async function expectNothingLost({ device, box, writers }: Cast): Promise<void> {
  const { entries } = await device.read(box);
  const stored = new Map(entries.map((entry) => [entry.id, entry]));
  for (const writer of writers) writer.expectStored(stored);
  const known = new Set(writers.flatMap(({ acknowledged }) => [...acknowledged.keys()]));
  expect(entries.filter(({ id }) => !known.has(id))).toEqual([]);
}

/** Readers go on from their cursors. A number that was given out again would be one that they miss. */
async function expectReadersGoOn({ device, box, writers, readers }: Cast): Promise<void> {
  for (const reader of readers) {
    const { cursor } = reader.copyOf(box);
    await reader.catchUp();
    await expectSameAsFetched(reader.copyOf(box), device, box);
    expect(reader.copyOf(box).cursor).toBeGreaterThanOrEqual(cursor);
    // A cursor above the container's number would be told to start over.
    expect(reader.resets).toBe(0);
  }
  const id = await device.createEntry(box);
  writers[0]?.acknowledged.set(id, 1n);
  for (const reader of readers) {
    const { cursor } = reader.copyOf(box);
    await reader.catchUp();
    expect(reader.copyOf(box).cursor).toBe(cursor + 1n);
    expect(reader.copyOf(box).entries.has(id)).toBe(true);
  }
}

test("C6: three crashes lose no acknowledged change and repeat no sequence number", async () => {
  const api = new Client((request) => fetch(request), "protobuf", `http://127.0.0.1:${port}`);
  const { device } = await signUp(api, new Outbox(join(folder, "entries-data")));
  const box = await device.createContainer();
  const writers = Array.from({ length: WRITERS }, (_, index) => new LonelyWriter(device, box, index + 1));
  const readers = [new SyncClient(device, [box], 2_000), new SyncClient(device, [box])];
  const cast = { device, box, writers, readers };
  for (const victims of ["server", "server and database", "server"] as const) {
    await crash(cast, victims);
    await start();
    await expectNothingLost(cast);
    await expectReadersGoOn(cast);
  }
});
