/** pgbench, PostgreSQL's own load generator, with the statement by which the server edits an entry. */
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { basename, dirname, join } from "node:path";
import { entry } from "../../src/db/queries.ts";
import { BLOB_BYTES, CATEGORIES_EACH, EDITED, ID_PREFIX, idNumber, NONCE, NUMBERS_PER_CONTAINER } from "./stock.ts";

/** Sets the variables of one edit of a random entry. */
const VARIABLES = `\\set container random(${EDITED.first}, ${EDITED.first + EDITED.containers - 1})
\\set place random(0, ${EDITED.entriesEach - 1})
\\set key ${idNumber("key", 0)} + :container
\\set box ${idNumber("container", 0)} + :container
\\set entry ${idNumber("entry", 0)} + :container * ${NUMBERS_PER_CONTAINER} + :place
\\set category ${idNumber("category", 0)} + :container * ${NUMBERS_PER_CONTAINER} + :place % ${CATEGORIES_EACH}
`;

/** What stands for each parameter of the statement. */
const EXPRESSIONS: Record<string, string> = {
  key_id: idExpression("key"),
  container_id: idExpression("box"),
  entry_id: idExpression("entry"),
  category_id: idExpression("category"),
  encrypted_blob: ":blob",
  version_nonce: ":nonce",
  expected_previous_version_nonce: ":nonce",
  entries_max: ":entries_max",
};

function idExpression(variable: string): string {
  return `('${ID_PREFIX}' || :${variable})::uuid`;
}

/** The statement's text with expressions in place of $1, $2, … */
export function pgbenchScript(text: string): string {
  const header = /^-- params: (.*)$/m.exec(text)?.[1] ?? "";
  const names = header.split(",").map((name) => name.trim().replace("?", ""));
  const statement = text
    .replaceAll(/^--.*\n/gm, "")
    .trim()
    .replaceAll(/\$(\d+)/g, (_, number: string) => {
      const expression = EXPRESSIONS[names[Number(number) - 1] ?? ""];
      if (expression === undefined) throw new Error(`pgbench has no value for $${number} of sql/${entry.replace.file}`);
      return expression;
    });
  return `${VARIABLES}${statement};\n`;
}

export interface Pgbench {
  version: string;
  run(round: {
    socketPath: string;
    connections: number;
    seconds: number;
  }): Promise<{ edits: number; perSecond: number }>;
}

/** @param directory for the script. @returns undefined when pgbench is not installed */
export function findPgbench(directory: string): Pgbench | undefined {
  const program = Bun.which("pgbench");
  if (program === null) return undefined;
  const script = join(directory, "replace.pgbench");
  writeFileSync(script, pgbenchScript(entry.replace.text));
  const version = Bun.spawnSync([program, "--version"]).stdout.toString().trim();
  const variables = {
    nonce: String(NONCE),
    entries_max: String(NUMBERS_PER_CONTAINER),
    blob: `\\x${randomBytes(BLOB_BYTES).toString("hex")}`,
  };
  const defines = Object.entries(variables).map(([name, value]) => `--define=${name}=${value}`);
  return {
    version,
    async run({ socketPath, connections, seconds }) {
      const place = [`--host=${dirname(socketPath)}`, `--port=${basename(socketPath).split(".").at(-1)}`];
      const threads = Math.min(availableParallelism(), connections);
      const amount = [`--client=${connections}`, `--jobs=${threads}`, `--time=${seconds}`];
      const command = [program, "--no-vacuum", "--protocol=prepared", ...amount, ...place, ...defines];
      const child = Bun.spawn([...command, `--file=${script}`, "--username=entries", "entries"], {
        stdout: "pipe",
        stderr: "pipe",
      });
      const [output, complaints] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
      const edits = Number(/actually processed: (\d+)/.exec(output)?.[1]);
      const perSecond = Number(/^tps = ([\d.]+)/m.exec(output)?.[1]);
      if (child.exitCode !== 0 || !(perSecond > 0)) throw new Error(`pgbench failed: ${complaints || output}`);
      return { edits, perSecond };
    },
  };
}
