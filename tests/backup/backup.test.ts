/** Issue 6.7: what a backup holds, and that it is whole or refused. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { writeBackup } from "../../src/backup/backup.ts";
import {
  BackupReader,
  BackupUnusable,
  compressor,
  encodeBackup,
  type Header,
  isSameSum,
  RunningSum,
  type Section,
  type TableSum,
} from "../../src/backup/format.ts";
import { restoreBackup, verifyBackup } from "../../src/backup/restore.ts";
import { type CopyTransaction, type Table, withCopyTransaction } from "../../src/db/copy.ts";
import { lockDataDirectory } from "../../src/db/dataDirectory.ts";
import { MIGRATIONS } from "../../src/db/migrate.ts";
import { backup as queries } from "../../src/db/queries.ts";
import type { Box } from "../support/client.ts";
import { anyDevice } from "../support/containerCalls.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { Writer } from "../support/histories.ts";
import { seededRandom } from "../support/races.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { storeEntries } from "../sync/copies.ts";
import { backUp, isElsewhere, leftovers, newFolder, RESTORE_OPTIONS, restoreAndStart, socketOf } from "./restored.ts";

/** Of COPY's text in the big database: large enough that a backup which held it all would show. */
const BIG_ENTRIES = 1_200;
const BIG_ENTRY_BYTES = 40_000;

describe.skipIf(isElsewhere)("issue 6.7: backup", () => {
  let folder = "";
  let server: TestServer;
  let box: Box;
  let big: TestDatabase;
  const pathOf = (name: string) => join(folder, name);

  beforeAll(async () => {
    folder = await newFolder();
    server = await startTestServer();
    box = await anyDevice(server).createContainer();
    big = await createTestDatabase();
    const [container] = await big.db`
      insert into containers (id, encrypted_blob, version_nonce, modified_timestamp, sequence)
      values (gen_random_uuid(), '', 1, timezone('utc', now()), 1) returning id`;
    await big.db`insert into container_heads values (${container?.id}, 1, 0, 0, 0)`;
    await storeEntries(big.db, { id: container?.id } as Box, BIG_ENTRIES, BIG_ENTRY_BYTES);
  });
  afterAll(async () => {
    await big?.db.end();
    await server?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const onCopies = <Result>(database: TestDatabase, run: (copy: CopyTransaction) => Promise<Result>) =>
    withCopyTransaction(socketOf(database), "snapshot", run);

  async function tableNamed(copy: CopyTransaction, name: string): Promise<Table> {
    const table = (await queries.tables(copy.db, {})).find((candidate) => candidate.name === name);
    if (!table) throw new Error(`there is no table ${name}`);
    return table;
  }

  async function sumOf(copy: CopyTransaction, name: string): Promise<TableSum> {
    const sum = new RunningSum(name);
    for await (const chunk of copy.read(await tableNamed(copy, name))) sum.add(chunk);
    return sum.total();
  }

  test("every lasting table has a primary key, and nothing but tables would have to be saved", async () => {
    const tables = await queries.tables(server.db, {});
    expect(tables.filter(({ key }) => key.length === 0)).toEqual([]);
    const others = await server.db`
      select relname, relkind, relpersistence from pg_class
      where relnamespace = 'public'::regnamespace and relkind not in ('i', 'r')
        or relnamespace = 'public'::regnamespace and relkind = 'r' and relpersistence <> 'p'`;
    expect(others.map(({ relname }) => relname)).toEqual(["signin_challenges"]);
  });

  test("all tables are of one moment, whatever is written between them", async () => {
    const sums = await onCopies(server.database, async (copy) => {
      const before = await sumOf(copy, "entries");
      const device = anyDevice(server);
      await device.createEntry(box);
      await device.createContainer();
      return { before, after: await sumOf(copy, "entries"), containers: await sumOf(copy, "containers") };
    });
    expect(sums.after).toEqual(sums.before);
    expect(sums.containers.rows).toBe(1);
  });

  test("while writers write, a backup is consistent in itself", async () => {
    const file = pathOf("written.backup");
    const writers = Array.from(
      { length: 4 },
      (_, index) => new Writer(anyDevice(server), box, seededRandom(70 + index)),
    );
    let isOver = false;
    let steps = 0;
    const writing = writers.map(async (writer) => {
      while (!isOver) {
        await writer.step();
        steps++;
      }
    });
    for (let round = 0; round < 5; round++) await backUp(server.database, file, true);
    const stepsMeanwhile = steps;
    isOver = true;
    await Promise.all(writing);
    expect(stepsMeanwhile).toBeGreaterThan(0);

    const restored = await restoreAndStart(file, pathOf("written"));
    try {
      const wrong = await restored.db`
        select container_id from container_heads as head
        where live_entries <> (select count(*) from entries where container_id = head.container_id and deleted_at is null)
          or live_categories <> (select count(*) from categories where container_id = head.container_id and deleted_at is null)`;
      expect(wrong).toHaveLength(0);
      const orphans = await restored.db`
        select from entries left join categories on categories.id = entries.category_id
        where entries.category_id is not null and categories.id is null`;
      expect(orphans).toHaveLength(0);
    } finally {
      await restored.stop();
    }
  });

  test("the same rows make the same checksums", async () => {
    const one = await backUp(big, pathOf("one.backup"));
    const two = await backUp(big, pathOf("two.backup"));
    expect(two.tables).toEqual(one.tables);
  });

  test("only its owner reads it, whatever the umask; a file that is there is kept unless forced", async () => {
    const file = pathOf("mode.backup");
    const umask = process.umask(0);
    try {
      await backUp(server.database, file);
    } finally {
      process.umask(umask);
    }
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const before = readFileSync(file);
    await expect(backUp(server.database, file)).rejects.toThrow(`${file} exists already. --force replaces it.`);
    expect(readFileSync(file).equals(before)).toBe(true);
    await backUp(server.database, file, true);
    expect(readFileSync(file).equals(before)).toBe(false);
    await expect(backUp(server.database, folder)).rejects.toThrow("is a directory");
  });

  test("of two backups to one name at once, one is made and the other says why not", async () => {
    const file = pathOf("race.backup");
    const outcomes = await Promise.allSettled([backUp(server.database, file), backUp(server.database, file)]);
    expect(outcomes.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    expect(readdirSync(folder).filter((name) => name.startsWith("race.backup"))).toEqual(["race.backup"]);
  });

  test("one that is interrupted leaves no file", async () => {
    const stopping = new AbortController();
    stopping.abort();
    const file = pathOf("stopped.backup");
    const writing = writeBackup(socketOf(big), file, { secrets: {}, signal: stopping.signal });
    await expect(writing).rejects.toThrow("Stopped.");
    expect(readdirSync(folder).filter((name) => name.startsWith("stopped.backup"))).toEqual([]);
  });

  test("a database of 100 MB in COPY's text takes no more memory than an empty one, and comes back", async () => {
    const empty = await createTestDatabase();
    await empty.db.end();
    const peaks = [];
    for (const database of [empty, big]) {
      const file = pathOf(`${database.name}.backup`);
      const program = [process.execPath, join(import.meta.dir, "peakMemory.ts")];
      const child = Bun.spawn([...program, JSON.stringify(socketOf(database)), file], { stdout: "pipe" });
      peaks.push(Number(await new Response(child.stdout).text()));
      expect(await child.exited).toBe(0);
    }
    const [small = 0, large = 0] = peaks;
    expect(small).toBeGreaterThan(0);
    expect(large - small).toBeLessThan(60 * 1024 * 1024);
    expect((await verifyBackup(pathOf(`${big.name}.backup`), RESTORE_OPTIONS)).different).toEqual([]);
  });

  describe("COPY of postgres.js", () => {
    test("a reader that is slow, time and again, does not make the connection sleep for ever", async () => {
      await onCopies(big, async (copy) => {
        const table = await tableNamed(copy, "entries");
        for (let round = 0; round < 4; round++) {
          for await (const chunk of copy.read(table)) if (chunk.length > 0) await Bun.sleep(0);
          expect(await copy.db`select 1 as one`).toHaveLength(1);
        }
      });
    });

    test("a connection that breaks while rows are read is an error, not an end or a new connection", async () => {
      const reading = onCopies(big, async (copy) => {
        const [session] = await copy.db`select pg_backend_pid() as pid`;
        let isFirst = true;
        for await (const chunk of copy.read(await tableNamed(copy, "entries"))) {
          if (isFirst && chunk.length > 0) await big.db`select pg_terminate_backend(${session?.pid})`;
          isFirst = false;
        }
        return "read to an end";
      });
      await expect(reading).rejects.toThrow();
    });

    test("an error that PostgreSQL finds only after the last row is told", async () => {
      const copying = withCopyTransaction(socketOf(server.database), "restore", async (copy) => {
        const table = await tableNamed(copy, "user_flags");
        const id = crypto.randomUUID();
        await copy.write(table, ["user_id", "has_performed_bulk_upload"], textOf(`${id}\tt\n${id}\tf\n`));
      });
      await expect(copying).rejects.toMatchObject({ code: "23505" });
    });
  });

  describe("a damaged backup", () => {
    let whole: Buffer;
    beforeAll(async () => {
      const small = await createTestDatabase();
      await backUp(small, pathOf("whole.backup"));
      await small.db.end();
      whole = readFileSync(pathOf("whole.backup"));
    });

    /** All that a backup says, read as a restore reads it. @throws BackupUnusable */
    async function contentOf(bytes: Uint8Array): Promise<string> {
      const file = pathOf("damaged.backup");
      writeFileSync(file, bytes);
      const reader = await BackupReader.open(file);
      const content: unknown[] = [reader.header];
      try {
        for (let part = await reader.next(); !("tables" in part); part = await reader.next()) {
          const sum = new RunningSum(part.table);
          for await (const chunk of reader.rows()) sum.add(chunk);
          content.push(part, sum.total());
        }
      } finally {
        await reader.close();
      }
      return JSON.stringify(content);
    }

    test("is refused, or the damage changes nothing that it says", async () => {
      const content = await contentOf(whole);
      const places = Array.from({ length: 120 }, (_, place) => Math.floor((place * whole.length) / 120));
      const flipped = places.map((place) => {
        const bytes = Buffer.from(whole);
        bytes[place] = (bytes[place] ?? 0) ^ 16;
        return bytes;
      });
      const torn = places.map((place) => whole.subarray(0, place));
      let refused = 0;
      for (const bytes of [...flipped, ...torn]) {
        const outcome = await contentOf(bytes).catch((error) => error);
        if (outcome instanceof BackupUnusable) refused++;
        else expect(outcome).toBe(content);
      }
      expect(refused).toBeGreaterThan(220);
    });

    test("leaves nothing behind in the data directory", async () => {
      const file = pathOf("torn.backup");
      await backUp(big, file);
      writeFileSync(file, readFileSync(file).subarray(0, -2_000));
      const dataDir = pathOf("untouched");
      const restoring = restoreBackup(file, dataDir, undefined, RESTORE_OPTIONS);
      await expect(restoring).rejects.toThrow(`The backup ${file} is damaged or not whole.`);
      expect(leftovers(dataDir)).toEqual([]);
      await rm(file);
      await backUp(server.database, file);
      await restoreBackup(file, dataDir, undefined, RESTORE_OPTIONS);
      expect(leftovers(dataDir).sort()).toEqual(["database"]);
    });

    const HEADER: Header = {
      format: "entries-server backup",
      version: 1,
      server: "9.9.9",
      postgresql: "18",
      schema: MIGRATIONS.length,
      created: "2026-01-01T00:00:00.000Z",
      secrets: {},
    };

    /** A backup made by hand. @param change of the sections that the newest schema has, all empty */
    async function craft(header: Partial<Header>, change: (sections: [Section, string][]) => unknown = () => {}) {
      const sections = (await queries.tables(server.db, {})).map(({ name, columns }): [Section, string] => [
        { table: name, columns },
        "",
      ]);
      change(sections);
      const file = pathOf("crafted.backup");
      const content = encodeBackup({ ...HEADER, ...header }, sectionsOf(sections), []);
      await pipeline(content, compressor(), async (chunks: AsyncIterable<Uint8Array>) => {
        writeFileSync(file, Buffer.concat(await Array.fromAsync(chunks)));
      });
      return file;
    }

    async function* sectionsOf(sections: readonly [Section, string][]) {
      for (const [section, rows] of sections) yield { ...section, rows: textOf(rows) };
    }

    const refusal = async (file: string) =>
      restoreBackup(file, pathOf("refused"), undefined, RESTORE_OPTIONS).then(
        () => expect.unreachable("it was restored"),
        (error: Error) => error.message,
      );

    test("what is no backup that this program can read is refused before anything is made", async () => {
      const empty = pathOf("empty");
      writeFileSync(empty, "");
      expect(await refusal(empty)).toBe(`${empty} is no backup of an entries-server.`);
      writeFileSync(empty, Bun.zstdCompressSync("some other file\n"));
      expect(await refusal(empty)).toBe(`${empty} is no backup of an entries-server.`);
      expect(await refusal(pathOf("missing"))).toStartWith(`Cannot read the backup ${pathOf("missing")}: ENOENT`);
      expect(await refusal(folder)).toStartWith(`Cannot read the backup ${folder}: EISDIR`);
      expect(await refusal(await craft({ version: 2 }))).toEndWith(
        "has format 2. Restore it with entries-server 9.9.9.",
      );
      expect(await refusal(await craft({ schema: MIGRATIONS.length + 1 }))).toContain("Install entries-server 9.9.9");
      expect(existsSync(pathOf("refused"))).toBe(false);
    });

    test("tables and rows that do not fit the schema are refused, and rows are not shown", async () => {
      expect(await refusal(await craft({}, (sections) => sections.shift()))).toContain("(blacklisted_tokens)");
      const unknown: [Section, string] = [{ table: 'x" (y) from stdin; drop table "users', columns: ["y"] }, ""];
      expect(await refusal(await craft({}, (sections) => sections.push(unknown)))).toContain("does not fit its schema");
      expect(await refusal(await craft({}, ([first]) => first?.[0].columns.pop()))).toContain(
        "does not fit its schema",
      );
      const broken = await craft({}, ([first]) => first?.splice(1, 1, "no row\n"));
      expect(await refusal(broken)).toBe("The backup is damaged: PostgreSQL refuses its rows of blacklisted_tokens.");
      expect(leftovers(pathOf("refused"))).toEqual([]);
    });

    test("a data directory with something in it, or with a server, is left alone", async () => {
      const file = await craft({});
      const dataDir = pathOf("full");
      await mkdir(join(dataDir, "outbox"), { recursive: true });
      const restore = () => restoreBackup(file, dataDir, undefined, RESTORE_OPTIONS);
      await expect(restore()).rejects.toThrow(`The data directory ${dataDir} is not empty (outbox).`);
      const lock = lockDataDirectory(dataDir);
      await expect(restore()).rejects.toThrow("already uses the data directory");
      lock.release();
      expect(leftovers(dataDir)).toEqual(["outbox"]);
    });
  });

  test("sums differ when a row is another, or is there twice", () => {
    const sumOfText = (text: string) => {
      const sum = new RunningSum("t");
      sum.add(Buffer.from(text));
      return sum.total();
    };
    expect(isSameSum(sumOfText("a\nb\n"), sumOfText("a\nb\n"))).toBe(true);
    expect(isSameSum(sumOfText("a\nb\n"), sumOfText("a\nc\n"))).toBe(false);
    expect(sumOfText("a\nb\nb\n").rows).toBe(3);
    expect(isSameSum(undefined, sumOfText(""))).toBe(false);
  });
});

async function* textOf(rows: string): AsyncGenerator<Uint8Array> {
  if (rows !== "") yield Buffer.from(rows);
}
