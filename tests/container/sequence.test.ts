/**
 * C6: sequence numbers. A client that only ever asks for rows with a higher number than it has seen must end up with
 * exactly the rows of the container, whatever is written meanwhile and whatever dies.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Db } from "../../src/db/query.ts";
import type { Answer, Box, Device } from "../support/client.ts";
import {
  anyDevice,
  postCategory,
  postEntry,
  postEntryAndCategory,
  putCategory,
  putContainer,
  putEntry,
} from "../support/containerCalls.ts";
import { changesSince, expectHeadIsExact, headOf, type StoredRow, sequencesOf } from "../support/containerRows.ts";
import { overtake, seededRandom } from "../support/races.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

let server: TestServer;
/** A second process on the same database. */
let sibling: TestServer;
/** What polls and kills: connections that no server uses. */
let outside: Db;
beforeAll(async () => {
  server = await startTestServer();
  sibling = await startTestServer({}, server.database);
  outside = server.database.connect();
});
afterAll(async () => {
  await outside.end();
  await sibling.stop();
  await server.stop();
});

const times = <T>(count: number, make: (index: number) => T): T[] => Array.from({ length: count }, (_, index) => make(index));

/** One client of a container that makes random changes, knowing only what it was answered. */
class Writer {
  readonly answers: Answer<unknown>[] = [];
  /** Ids that a create was answered with. */
  readonly created: string[] = [];
  readonly #entries = new Map<string, bigint>();
  readonly #categories = new Map<string, bigint>();

  constructor(
    readonly device: Device,
    readonly box: Box,
    readonly random: () => number,
  ) {}

  #pick(rows: Map<string, bigint>): [id: string, nonce: bigint] {
    return [...rows][Math.floor(this.random() * rows.size)] ?? [crypto.randomUUID(), 0n];
  }

  #nonce(): bigint {
    return BigInt(Math.floor(this.random() * 2 ** 50));
  }

  async step(): Promise<void> {
    const choice = Math.floor(this.random() * 10);
    if (choice < 4) await this.#create(choice);
    else if (choice < 8) await this.#edit(choice);
    else await this.#delete(choice);
  }

  async #create(choice: number): Promise<void> {
    const { device, box } = this;
    const version_nonce = this.#nonce();
    const category_id = this.random() < 0.5 ? this.#pick(this.#categories)[0] : undefined;
    if (choice === 0) {
      const answer = await postCategory(device, box, { version_nonce });
      this.#learn(this.#categories, answer, answer.value?.value, version_nonce);
    } else if (choice === 1) {
      const nonces = { entry_version_nonce: version_nonce, category_version_nonce: version_nonce };
      const answer = await postEntryAndCategory(device, box, nonces);
      this.#learn(this.#entries, answer, answer.value?.entry_id, version_nonce);
      this.#learn(this.#categories, answer, answer.value?.category_id, version_nonce);
    } else {
      const answer = await postEntry(device, box, { version_nonce, ...(category_id && { category_id }) });
      this.#learn(this.#entries, answer, answer.value?.value, version_nonce);
    }
  }

  #learn(rows: Map<string, bigint>, answer: Answer<unknown>, id: string | undefined, nonce: bigint): void {
    this.answers.push(answer);
    if (id === undefined) return;
    rows.set(id, nonce);
    this.created.push(id);
  }

  async #edit(choice: number): Promise<void> {
    const { device, box } = this;
    const version_nonce = this.#nonce();
    if (choice === 4) {
      this.answers.push(await putContainer(device, box, { version_nonce: 1n }));
      return;
    }
    const rows = choice === 5 ? this.#categories : this.#entries;
    const [id, expected_previous_version_nonce] = this.#pick(rows);
    const nonces = { version_nonce, expected_previous_version_nonce };
    const [category_id] = this.#pick(this.#categories);
    const answer =
      choice === 5
        ? await putCategory(device, box, id, nonces)
        : await putEntry(device, box, id, { ...nonces, ...(choice === 6 && { category_id }) });
    if (answer.status === 200) rows.set(id, version_nonce);
    this.answers.push(answer);
  }

  async #delete(choice: number): Promise<void> {
    const rows = choice === 8 ? this.#categories : this.#entries;
    const [id] = this.#pick(rows);
    rows.delete(id);
    const { device, box } = this;
    this.answers.push(await (choice === 8 ? device.deleteCategory(box, id) : device.deleteEntry(box, id)));
  }
}

/** A client that synchronises: it asks for what is above its cursor, keeps it, and moves the cursor. */
class Poller {
  readonly rows = new Map<string, StoredRow>();
  readonly #numbersSeen = new Set<bigint>();
  cursor = 0n;
  polls = 0;

  constructor(
    readonly db: Db,
    readonly container_id: string,
  ) {}

  async poll(): Promise<void> {
    this.polls++;
    for (const row of await changesSince(this.db, this.container_id, this.cursor)) {
      expect(this.#numbersSeen.has(row.sequence)).toBe(false);
      this.#numbersSeen.add(row.sequence);
      this.rows.set(row.id, row);
      this.cursor = row.sequence;
    }
  }

  async expectSynchronised(): Promise<void> {
    await this.poll();
    const byId = (rows: Iterable<StoredRow>) => [...rows].map((row) => ({ ...row })).sort((a, b) => (a.id < b.id ? -1 : 1));
    expect(byId(this.rows.values())).toEqual(byId(await changesSince(this.db, this.container_id, 0n)));
    await expectHeadIsExact(this.db, this.container_id);
  }
}

/** Runs 8 writers in two processes to their end, and a poller beside them. */
async function runHistory(seed: number, steps: number, meanwhile?: (random: () => number) => Promise<void>) {
  const box = await anyDevice(server).createContainer();
  const writers = times(8, (index) => {
    const device = anyDevice(index % 2 ? server : sibling, index % 4 < 2 ? "protobuf" : "json");
    return new Writer(device, box, seededRandom(seed * 100 + index));
  });
  const poller = new Poller(outside, box.id);
  let isOver = false;
  const polling = (async () => {
    while (!isOver) {
      await poller.poll();
      await Bun.sleep(0);
    }
  })();
  const disturbing = (async () => {
    while (!isOver && meanwhile) await meanwhile(seededRandom(seed));
  })();
  await Promise.all(
    writers.map(async (writer) => {
      for (let step = 0; step < steps; step++) await writer.step();
    }),
  ).finally(() => {
    isOver = true;
  });
  await Promise.all([polling, disturbing]);
  return { box, writers, poller };
}

const EXPECTED_REFUSALS = ["OUT_OF_DATE", "FOREIGN_KEY_DOES_NOT_EXIST", "ENTRY_DOES_NOT_EXIST", "CATEGORY_DOES_NOT_EXIST"];

describe("C6: a poller beside 8 writers", () => {
  test.each([1, 2, 3, 4, 5, 6])("ends with exactly the writers' rows and sees no number twice, history %i", async (seed) => {
    const { writers, poller } = await runHistory(seed, 40);
    await poller.expectSynchronised();
    const answers = writers.flatMap((writer) => writer.answers);
    for (const { status, error } of answers) {
      if (status >= 300) expect(EXPECTED_REFUSALS).toContain(error?.err_type ?? String(status));
    }
    expect(answers.filter(({ status }) => status < 300).length).toBeGreaterThan(answers.length / 3);
    for (const id of writers.flatMap(({ created }) => created)) expect(poller.rows.has(id)).toBe(true);
    expect(poller.polls).toBeGreaterThan(10);
  });
});

describe("C6: a writer that dies", () => {
  /** Ends one session of the servers, as a crash of the database's process would. */
  async function killOneBackend(random: () => number): Promise<void> {
    const pids = await outside<{ pid: number }[]>`
      select pid from pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid() and query not ilike 'listen%' and state <> 'idle'
        and pid not in (select pid from pg_stat_activity where query like '%$1%sequence > %')
      order by pid`;
    const victim = pids[Math.floor(random() * pids.length)];
    if (victim) await outside`select pg_terminate_backend(${victim.pid})`;
    await Bun.sleep(5);
  }

  test.each([11, 12, 13])("while sessions are killed no number is used twice, nothing acknowledged is lost, and nobody gets a 500; history %i", async (seed) => {
    const { writers, poller } = await runHistory(seed, 25, killOneBackend);
    await poller.expectSynchronised();
    const answers = writers.flatMap((writer) => writer.answers);
    expect(answers.filter(({ status }) => status === 500)).toEqual([]);
    for (const id of writers.flatMap(({ created }) => created)) expect(poller.rows.has(id)).toBe(true);
  });

  test("a change whose session is killed while it waits leaves no trace; the next one takes the next number", async () => {
    const device = anyDevice(server);
    const box = await device.createContainer();
    const before = await headOf(outside, box.id);
    const answer = await overtake(
      outside,
      box.id,
      () => postEntry(device, box),
      async () => {
        await outside`
          select pg_terminate_backend(pid) from pg_stat_activity
          where datname = current_database() and wait_event_type = 'Lock'`;
      },
    );
    expect(answer.status).toBe(503);
    expect(answer.headers.get("retry-after")).toMatch(/^\d+$/);
    const id = await device.createEntry(box);
    expect((await device.read(box)).entries.map((entry) => entry.id)).toEqual([id]);
    expect((await sequencesOf(outside, box.id)).get(id)).toBe(before.last_sequence + 1n);
  });
});
