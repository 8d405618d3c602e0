/**
 * `bun run build`: makes dist/entries-server, one executable with everything in it, PostgreSQL included.
 * `--quick` packs PostgreSQL in one second instead of fifteen, for a larger file; tests build so.
 * `--outdir DIR` puts it elsewhere.
 */
import { mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { packPostgres } from "./db/packPostgres.ts";
import { ARCHIVE_NAME } from "./db/postgresPack.ts";

const QUICK_LEVEL = 3;

/** @returns the path of the executable */
export async function build(options: { outDir: string; isQuick: boolean }): Promise<string> {
  mkdirSync(options.outDir, { recursive: true });
  const archive = join(options.outDir, ARCHIVE_NAME);
  const executable = join(options.outDir, "entries-server");
  await packPostgres(archive, options.isQuick ? { level: QUICK_LEVEL } : {});
  const command = [
    process.execPath,
    "build",
    "--compile",
    "--minify",
    "--bytecode",
    "--format=esm",
    // An operator's .env and bunfig.toml in the working directory are not ours.
    "--no-compile-autoload-dotenv",
    "--no-compile-autoload-bunfig",
    // Room for fifty container tokens in the headers of GET /api/container, and to spare; the default is 16 KiB.
    "--compile-exec-argv=--max-http-header-size=65536",
    `--asset=${archive}`,
    join(import.meta.dir, "main.ts"),
    `--outfile=${executable}`,
  ];
  const { exitCode, stderr } = Bun.spawnSync(command, { stdout: "ignore", stderr: "pipe" });
  if (exitCode !== 0) throw new Error(`bun build failed:\n${stderr}`);
  return executable;
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: { quick: { type: "boolean" }, outdir: { type: "string", default: "dist" } },
  });
  const executable = await build({ outDir: values.outdir, isQuick: values.quick === true });
  console.log(`${executable}: ${(statSync(executable).size / 1e6).toFixed(1)} MB`);
}
