import { beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import fc from "fast-check";
import { checkQueries, SchemaMismatch } from "../../src/db/check.ts";
import { connectDatabase } from "../../src/db/connect.ts";
import { generateQueries, parseHeader } from "../../src/db/generate.ts";
import { allQueries } from "../../src/db/queries.ts";
import { type Db, query } from "../../src/db/query.ts";
import { formatTimestamp, parseTimestamp } from "../../src/db/time.ts";
import { silentLog } from "../../src/log.ts";
import { createTestDatabase, POOL } from "../support/database.ts";

let db: Db;
beforeAll(async () => {
  ({ db } = await createTestDatabase());
});

describe("values between JavaScript and PostgreSQL are exact", () => {
  const echo = query<
    {
      int8: bigint;
      int8s: bigint[];
      time: bigint;
      times: bigint[];
      bytes: Uint8Array;
      byteas: Uint8Array[];
      ids: string[];
      flag: boolean;
      text: string;
      missing?: string | null;
    },
    {
      int8: bigint;
      int8s: bigint[];
      time: bigint;
      times: bigint[];
      bytes: Uint8Array;
      byteas: Uint8Array[];
      ids: string[];
      flag: boolean;
      text: string;
      missing: string | null;
    },
    "one"
  >(
    "test/echo",
    `select $1::int8 as int8, $2::int8[] as int8s, $3::timestamp as time, $4::timestamp[] as times, $5::bytea as bytes,
      $6::bytea[] as byteas, $7::uuid[] as ids, $8::bool as flag, $9::text as text, $10::text as missing`,
    [
      ["int8", 20],
      ["int8s", 1016],
      ["time", 1114],
      ["times", 1115],
      ["bytes", 17],
      ["byteas", 1001],
      ["ids", 2951],
      ["flag", 16],
      ["text", 25],
      ["missing", 25],
    ],
    "one",
  ); // prettier-ignore

  const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
  const micros = fc.bigInt({ min: 0n, max: 253_402_300_799_999_999n });
  const bytes = fc.uint8Array({ maxLength: 40 });

  test("random values round-trip, 64-bit integers and microseconds included", async () => {
    const values = fc.record({
      int8: int64,
      int8s: fc.array(int64, { maxLength: 5 }),
      time: micros,
      times: fc.array(micros, { maxLength: 5 }),
      bytes,
      byteas: fc.array(bytes, { maxLength: 5 }),
      ids: fc.array(fc.uuid(), { maxLength: 5 }),
      flag: fc.boolean(),
      text: fc.string({ unit: "grapheme" }).map((text) => text.replaceAll("\0", "")),
    });
    await fc.assert(
      fc.asyncProperty(values, async (value) => {
        const row = await echo(db, value);
        const plain = {
          ...row,
          bytes: new Uint8Array(row.bytes),
          byteas: row.byteas.map((item) => new Uint8Array(item)),
        };
        expect(plain).toEqual({ ...value, missing: null });
      }),
      { numRuns: 200 },
    );
  });

  test("the edges of 64 bits and of the supported years", async () => {
    const edge = { int8s: [-(2n ** 63n), 2n ** 63n - 1n], times: [0n, 253_402_300_799_999_999n] };
    const row = await echo(db, {
      ...edge,
      int8: 2n ** 53n + 1n,
      time: 1n,
      bytes: new Uint8Array(0),
      byteas: [],
      ids: [],
      flag: false,
      text: "",
    });

    expect(row).toMatchObject({ ...edge, int8: 2n ** 53n + 1n, time: 1n });
  });

  test("times do not depend on the process's time zone", () => {
    const script = `import { parseTimestamp, formatTimestamp } from "${join(import.meta.dir, "../../src/db/time.ts")}";
      console.log(parseTimestamp("2026-01-31 08:15:00.123456"), formatTimestamp(1769847300123456n));`;
    const { stdout } = Bun.spawnSync([process.execPath, "-e", script], {
      env: { ...process.env, TZ: "America/New_York" },
    });

    expect(stdout.toString().trim()).toBe("1769847300123456n 2026-01-31T08:15:00.123456Z");
  });

  test("times of any microsecond survive the text form", () => {
    fc.assert(
      fc.property(micros, (value) => {
        const text = formatTimestamp(value).replace("T", " ").replace("Z", "");
        expect(parseTimestamp(text)).toBe(value);
      }),
    );
    expect(() => parseTimestamp("infinity")).toThrow(RangeError);
  });
});

/** `feature/verb` of every query that a source file calls, by the names under which it imports the features. */
function callsOfQueries(source: string): string[] {
  const imported = /import \{([^}]*)\} from "[^"]*\/queries\.ts"/.exec(source)?.[1] ?? "";
  return imported.split(",").flatMap((item) => {
    const [feature = "", alias = feature] = item.trim().split(" as ");
    const calls = source.matchAll(new RegExp(`\\b${alias}\\.(\\w+)\\(`, "g"));
    return [...calls].map(([, verb]) => `${feature}/${verb}`);
  });
}

describe("statements", () => {
  test("`queries.ts` is what the generator writes for the files in sql/", async () => {
    const committed = await Bun.file(join(import.meta.dir, "../../src/db/queries.ts")).text();

    expect(committed).toBe(await generateQueries(db));
  });

  test("every statement is used somewhere", async () => {
    const paths = [...new Bun.Glob(join(import.meta.dir, "../../src/**/*.ts")).scanSync()];
    const sources = await Promise.all(paths.map((path) => Bun.file(path).text()));
    const used = sources.flatMap(callsOfQueries);

    expect(allQueries.map(({ file }) => file).filter((file) => !used.includes(file))).toEqual([]);
  });

  test("at start a statement that does not fit the schema is named", async () => {
    const { db: broken } = await createTestDatabase();
    await checkQueries(broken);
    await broken.unsafe("alter table entries rename column encrypted_blob to renamed");

    const failure = await checkQueries(broken).then(
      () => undefined,
      (error: Error) => error,
    );

    expect(failure).toBeInstanceOf(SchemaMismatch);
    expect(failure?.message).toMatch(/^sql\/\w+\/\w+\.sql does not fit/);
  });

  test("P1: at start a database that is away, or has too few connections, is not taken for one of another schema", async () => {
    const failureOf = (refusing: object) => checkQueries(refusing as Db).catch((failure: unknown) => failure);
    const away = Object.assign(new Error("closed"), { code: "CONNECTION_CLOSED" });
    let released = 0;
    const connection = { unsafe: () => ({ describe: () => Promise.reject(away) }), release: () => released++ };
    expect(await failureOf({ reserve: async () => connection })).toBe(away);
    expect(released).toBe(1);
    const full = Object.assign(new Error("too many clients"), { code: "53300" });
    const failure = await failureOf({ reserve: () => Promise.reject(full) });
    expect(failure).not.toBeInstanceOf(SchemaMismatch);
    expect(failure).toMatchObject({ message: expect.stringContaining("ENTRIES_DB_MAX_CONNECTIONS") });
  });

  test("a header that lacks a line is refused by name", () => {
    expect(() => parseHeader("entry/x", "select 1")).toThrow("sql/entry/x.sql needs a header");
    expect(() => parseHeader("entry/x", "-- Sentence.\n-- params:\n-- returns: two\nselect 1")).toThrow("entry/x");
  });

  test("a statement is prepared once, with and without parameters", async () => {
    const { connect } = await createTestDatabase();
    const pool = connect();
    const now = query<Record<never, never>, { n: number }, "one">("test/now", "select 1::int4 as n", [], "one");
    for (let round = 0; round < 20; round++) await pool.begin(async (transaction) => now(transaction, {}));
    const rows = await pool.reserve();
    const prepared = await rows.unsafe(
      "select count(*)::int as n from pg_prepared_statements where statement = 'select 1::int4 as n'",
    );
    rows.release();

    expect(prepared[0]?.n).toBe(1);
  });

  test("more rows than the header promises is an error that names the file", async () => {
    const two = query<Record<never, never>, { n: number }, "one">(
      "test/two",
      "select generate_series(1, 2) as n",
      [],
      "one",
    );

    await expect(two(db, {})).rejects.toThrow("sql/test/two.sql");
  });
});

describe("P1: database URLs", () => {
  test.each([
    ["postgres://u:p@[::1]:5455/my%20db", ["::1"], [5455], "my db"],
    ["postgres://u:p%40x@h1:5432,h2:5433/db", ["h1", "h2"], [5432, 5433], "db"],
    ["postgresql://u@h/db", ["h"], [5432], "db"],
    ["postgres://u@[2001:db8::1]/db?sslmode=require", ["2001:db8::1"], [5432], "db"],
  ])("%s", async (url, host, port, database) => {
    const pool = connectDatabase({ url }, POOL, silentLog);

    expect(pool.options).toMatchObject({ host, port, database });
    await pool.end();
  });
});
