/**
 * Writes `queries.ts`, a typed function per file of `sql/`, by asking a live PostgreSQL to describe each statement.
 * `bun run sql` writes the file, `bun run sql --check` (also a test) fails when it is stale.
 */
import { join } from "node:path";
import type { Db } from "./query.ts";

const SQL_DIR = join(import.meta.dir, "../../sql");

/** PostgreSQL type (oid) to TypeScript type. A statement with any other type does not generate. */
const TYPES: Record<number, string> = {
  16: "boolean",
  17: "Uint8Array",
  20: "bigint",
  21: "number",
  23: "number",
  25: "string",
  1000: "boolean[]",
  1001: "Uint8Array[]",
  1005: "number[]",
  1007: "number[]",
  1009: "string[]",
  1016: "bigint[]",
  1114: "bigint",
  1115: "bigint[]",
  2950: "string",
  2951: "string[]",
};

interface Header {
  sentence: string;
  params: { name: string; nullable: boolean }[];
  returns: string;
  nullable: string[];
  neverNull: string[];
}

/**
 * Reads the comment at the top of a SQL file: a sentence, then `params:`, `returns:` and, where needed,
 * `nullable:` (columns of outer joins) and `never null:` (expressions).
 *
 * @throws Error naming the file when a line is missing or unreadable
 */
export function parseHeader(file: string, text: string): Header {
  const comments =
    /^(?:--.*\n)+/
      .exec(text)?.[0]
      .split("\n")
      .map((line) => line.replace(/^--\s?/, "")) ?? [];
  const value = (label: string) =>
    comments
      .find((line) => line.startsWith(`${label}:`))
      ?.slice(label.length + 1)
      .trim();
  const names = (label: string) =>
    (value(label) ?? "")
      .split(",")
      .map((name) => name.trim())
      .filter(Boolean);
  const sentenceEnd = comments.findIndex((line) => /^(params|returns|nullable|never null):/.test(line));
  const sentence = comments.slice(0, sentenceEnd).join(" ").trim();
  const returns = value("returns") ?? "";
  if (sentence === "" || value("params") === undefined || !/^(one|maybe|many|count)$/.test(returns)) {
    throw new Error(
      `sql/${file}.sql needs a header: a sentence, "-- params: …" and "-- returns: one|maybe|many|count"`,
    );
  }
  const params = names("params").map((name) => ({ name: name.replace(/\?$/, ""), nullable: name.endsWith("?") }));
  return { sentence, params, returns, nullable: names("nullable"), neverNull: names("never null") };
}

interface Column {
  name: string;
  type: number;
  table: number;
  number: number;
}

/** Describes every statement on `db`, whose schema must be up to date, and returns the text of `queries.ts`. */
export async function generateQueries(db: Db): Promise<string> {
  const files = [...new Bun.Glob("*/*.sql").scanSync(SQL_DIR)]
    .filter((path) => !path.startsWith("migrations/"))
    .map((path) => path.slice(0, -".sql".length))
    .sort();
  const notNull = await notNullColumns(db);
  const imports: string[] = [];
  const features = new Map<string, string[]>();
  for (const file of files) {
    const text = await Bun.file(join(SQL_DIR, `${file}.sql`)).text();
    const [feature = "", verb = ""] = file.split("/");
    const importName = `${feature}_${verb}`;
    imports.push(`import ${importName} from "../../sql/${file}.sql" with { type: "text" };`);
    const source = await describeFile(db, file, text, importName, notNull);
    features.set(feature, [...(features.get(feature) ?? []), source]);
  }
  const objects = [...features].map(([feature, members]) => `export const ${feature} = {\n${members.join(",\n")},\n};`);
  return [
    "// Written by `bun run sql` from the files in sql/. Do not edit.",
    ...imports,
    'import { query } from "./query.ts";',
    "",
    objects.join("\n\n"),
    "",
    `/** Every query, for the check at start. */`,
    `export const allQueries = [${[...features.keys()].map((feature) => `...Object.values(${feature})`).join(", ")}];`,
    "",
  ].join("\n");
}

async function describeFile(db: Db, file: string, text: string, importName: string, notNull: Set<string>) {
  const header = parseHeader(file, text);
  const described = await db.unsafe(text, [], { prepare: true }).describe();
  const types = described.types as unknown as number[];
  if (types.length !== header.params.length) {
    throw new Error(`sql/${file}.sql takes ${types.length} parameters, but its header names ${header.params.length}`);
  }
  const params = header.params.map(({ name, nullable }, index) => {
    const type = typeName(file, types[index] ?? 0);
    return nullable ? `${name}?: ${type} | null | undefined` : `${name}: ${type}`;
  });
  const row = (described.columns as unknown as Column[]).map((column) => {
    const isNotNull = notNull.has(`${column.table}.${column.number}`) && !header.nullable.includes(column.name);
    const nullable = isNotNull || header.neverNull.includes(column.name) ? "" : " | null";
    return `${column.name}: ${typeName(file, column.type)}${nullable}`;
  });
  const oids = header.params.map(({ name }, index) => `["${name}", ${types[index]}]`);
  return [
    `  /** ${header.sentence} */`,
    `  ${file.split("/")[1]}: query<`,
    `    { ${params.join("; ")} },`,
    `    { ${row.join("; ")} },`,
    `    "${header.returns}"`,
    `  >("${file}", ${importName}, [${oids.join(", ")}], "${header.returns}")`,
  ].join("\n");
}

function typeName(file: string, oid: number): string {
  const type = TYPES[oid];
  if (!type) throw new Error(`sql/${file}.sql uses a type that the generator does not know (oid ${oid})`);
  return type;
}

/** `table oid.column number` of every column that cannot be null. */
async function notNullColumns(db: Db): Promise<Set<string>> {
  const rows = await db.unsafe(
    `select attrelid::int4 as table_oid, attnum as number from pg_attribute
     where attnotnull and attnum > 0 and attrelid in (select oid from pg_class where relnamespace = 'public'::regnamespace)`,
  );
  return new Set(rows.map((row) => `${row.table_oid}.${row.number}`));
}
