/** The same work without the server around it: what its figures are compared with. Each function is one round. */
import { randomBytes } from "node:crypto";
import { connectDatabase } from "../../src/db/connect.ts";
import { container as containers, entry as entries } from "../../src/db/queries.ts";
import type { Db } from "../../src/db/query.ts";
import { silentLog } from "../../src/log.ts";
import {
  BLOB_BYTES,
  categoryNumber,
  containerNumbers,
  EDITED,
  idOf,
  NONCE,
  NUMBERS_PER_CONTAINER,
  READ,
} from "./stock.ts";

/** As the server's, except for the number of connections. */
const POOL = { databaseIdleTimeoutSecs: 30, databaseConnectionTimeoutSecs: 30, databaseLifetimeSecs: 300 };

const pools = new Map<string, Db>();

/** Opens a pool of the embedded database, as the server opens its own. */
export function openPool(socketPath: string, connections: number, username = "entries"): Db {
  const address = { socketPath, database: "entries", username };
  return connectDatabase(address, { ...POOL, databaseConnectionsMax: connections }, silentLog);
}

function pool(socketPath: string, connections: number): Db {
  const name = `${socketPath} ${connections}`;
  const known = pools.get(name) ?? openPool(socketPath, connections);
  pools.set(name, known);
  return known;
}

/** More than there is. */
const BYTES_MAX = String(64 * 1024 * 1024);

/** Reads all containers at once and drops what comes. @returns milliseconds of each time */
export async function queryContainers(round: { socketPath: string; connections: number; times: number }) {
  const db = pool(round.socketPath, round.connections);
  const numbers = containerNumbers(READ);
  const key_ids = numbers.map((number) => idOf("key", number));
  const container_ids = numbers.map((number) => idOf("container", number));
  const ms: number[] = [];
  let rows = 0;
  for (let time = 0; time < round.times; time++) {
    const startedAt = performance.now();
    const result = await db.unsafe(containers.fetch.text, [key_ids, container_ids, BYTES_MAX], { prepare: true });
    ms.push(performance.now() - startedAt);
    rows = result.length;
  }
  return { ms, rows };
}

/** Edits random entries as fast as the connections allow, one edit at a time on each. */
export async function replaceEntries(round: { socketPath: string; connections: number; seconds: number }) {
  const db = pool(round.socketPath, round.connections);
  const blob = randomBytes(BLOB_BYTES);
  let edits = 0;
  const startedAt = performance.now();
  const deadline = startedAt + round.seconds * 1000;
  const keepEditing = async () => {
    while (performance.now() < deadline) {
      const container = EDITED.first + Math.floor(Math.random() * EDITED.containers);
      const place = Math.floor(Math.random() * EDITED.entriesEach);
      const row = await entries.replace(db, {
        key_id: idOf("key", container),
        container_id: idOf("container", container),
        entry_id: idOf("entry", container * NUMBERS_PER_CONTAINER + place),
        encrypted_blob: blob,
        version_nonce: NONCE,
        expected_previous_version_nonce: NONCE,
        category_id: idOf("category", categoryNumber(container, place)),
        entries_max: NUMBERS_PER_CONTAINER,
      });
      if (!row.was_replaced) throw new Error("an entry was not replaced");
      edits++;
    }
  };
  await Promise.all(Array.from({ length: round.connections }, keepEditing));
  return { edits, perSecond: (edits / (performance.now() - startedAt)) * 1000 };
}

/** Verifies a password a number of times, so many at once. */
export async function verifyPasswords(round: {
  memoryKib: number;
  iterations: number;
  parallel: number;
  times: number;
}) {
  const secret = randomBytes(32);
  const cost = { algorithm: "argon2id", memoryCost: round.memoryKib, timeCost: round.iterations } as const;
  const hash = await Bun.password.hash(secret, cost);
  let left = round.times;
  const startedAt = performance.now();
  const keepVerifying = async () => {
    while (left-- > 0) if (!(await Bun.password.verify(secret, hash))) throw new Error("the hash does not match");
  };
  await Promise.all(Array.from({ length: round.parallel }, keepVerifying));
  return { perSecond: (round.times / (performance.now() - startedAt)) * 1000 };
}
