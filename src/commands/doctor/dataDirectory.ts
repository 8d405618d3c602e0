import { constants, existsSync } from "node:fs";
import { access, stat, statfs } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import type { Config } from "../../config.ts";
import { shownBytes } from "../text.ts";
import { type Finding, ok, problem, warning } from "./check.ts";

const MIB = 1024 ** 2;
/** Below, PostgreSQL is about to stop. */
const FREE_PROBLEM = 100 * MIB;
const FREE_WARNING = 1024 * MIB;

/** Whether the data directory can be written to and its disk has room. */
export async function checkDataDirectory({ dataDir, database, smtp }: Config): Promise<readonly Finding[]> {
  if (database.kind === "external" && smtp) return [ok("not used: database and mail are elsewhere.")];
  const path = resolve(dataDir);
  const exists = existsSync(path);
  const place = exists ? path : nearestExisting(path);
  if (!(await stat(place)).isDirectory()) return [problem(`${place} is a file. Choose another --data-dir.`)];
  if (!(await isWritable(place))) {
    const me = process.geteuid?.() ?? "this user";
    return [problem(`user ${me} may not write to ${place}. Give it to that user, or choose another --data-dir.`)];
  }
  return [ok(exists ? `${path} is writable.` : `${path} is made at the first start.`), await checkSpace(place)];
}

function nearestExisting(path: string): string {
  return existsSync(path) ? path : nearestExisting(dirname(path));
}

async function isWritable(directory: string): Promise<boolean> {
  try {
    await access(directory, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

async function checkSpace(directory: string): Promise<Finding> {
  const { bavail, bsize } = await statfs(directory);
  const free = bavail * bsize;
  if (free >= FREE_WARNING) return ok(`${shownBytes(free)} are free on its disk.`);
  const text = `only ${shownBytes(free)} are free on the disk of ${directory}. Make room before the database stops.`;
  return free < FREE_PROBLEM ? problem(text) : warning(text);
}
