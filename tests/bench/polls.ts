/**
 * Asking for changes: over HTTP, by the server's own function alone, and the bare query that this is compared with. Each
 * function is one round in a worker.
 */
import { readChanges } from "../../src/sync/dao.ts";
import { ContainerChangesList, ContainerChangesRequest } from "../../src/sync/messages.ts";
import { MEDIA_TYPES } from "../../src/wire/negotiation.ts";
import type { Box } from "../support/client.ts";
import { openPool } from "./bare.ts";
import { HttpConnection, requestHead } from "./httpConnection.ts";
import type { Target } from "./load.ts";
import { boxOf } from "./stock.ts";

/** Where the client stands in a container, by the container's number. */
export interface StockCursor {
  container: number;
  since: bigint;
}

const boxes = new Map<number, Box>();

function tokenOf(container: number): string {
  const box = boxes.get(container) ?? boxOf(container);
  boxes.set(container, box);
  return box.token();
}

/** Stays open from round to round, as a client's does. */
let polling: HttpConnection | undefined;

/** Asks from the same cursors again and again. @returns milliseconds of each answer, and how many entries it holds */
export async function askForChanges(round: Target & { cursors: StockCursor[]; times: number }) {
  const containers = round.cursors.map(({ container, since }) => ({ token: tokenOf(container), since }));
  const body = ContainerChangesRequest.encodeProtobuf({ containers });
  const content = { contentType: MEDIA_TYPES.protobuf, bytes: body.length };
  const head = requestHead("POST", "/api/container/changes", { "x-access-token": round.accessToken }, content);
  const request = Buffer.concat([Buffer.from(head, "latin1"), body]);
  polling ??= await HttpConnection.open(round.port);
  const ms: number[] = [];
  let chunks: readonly Uint8Array[] = [];
  for (let time = 0; time < round.times; time++) {
    const startedAt = performance.now();
    const answer = await polling.exchange(request);
    ms.push(performance.now() - startedAt);
    if (answer.status !== 200) throw new Error(`the server answered ${answer.status}`);
    ({ chunks } = answer);
  }
  const { changes } = ContainerChangesList.decodeProtobuf(Buffer.concat(chunks));
  return { ms, entries: changes.reduce((sum, { entries }) => sum + entries.length, 0), containers: changes.length };
}

/** Whether each key opens its container, and the container's number: what anybody must look up to see what is new. */
const LOOK_UP = `
  select pair.container_id, head.last_sequence
  from unnest($1::uuid[], $2::uuid[]) as pair (key_id, container_id)
  join container_access_keys as key on key.key_id = pair.key_id and key.container_id = pair.container_id
  join container_heads as head on head.container_id = pair.container_id`;

/** As the server's own (sync/routes.ts). */
const PAGE = { bytesMax: 4 * 1024 * 1024, rowsMax: 10_000 };

let pool: ReturnType<typeof openPool> | undefined;

/**
 * Takes turns, so that both meet the same machine: what the server does for a request once the tokens are verified, one
 * round trip, and the bare query.
 *
 * @returns milliseconds of each time, and how many containers came last
 */
export async function readAndLookUp(round: {
  socketPath: string;
  connections: number;
  cursors: StockCursor[];
  times: number;
}) {
  pool ??= openPool(round.socketPath, round.connections);
  const db = pool;
  const cursors = round.cursors.map(({ container, since }) => {
    const { id: container_id, key_id } = boxOf(container);
    return { key_id, container_id, since };
  });
  const values = [cursors.map(({ key_id }) => key_id), cursors.map(({ container_id }) => container_id)];
  const read = { ms: [] as number[], containers: 0 };
  const bare = { ms: [] as number[], containers: 0 };
  async function add(to: typeof read, run: () => Promise<readonly unknown[]>): Promise<void> {
    const startedAt = performance.now();
    to.containers = (await run()).length;
    to.ms.push(performance.now() - startedAt);
  }
  for (let time = 0; time < round.times; time++) {
    await add(read, () => readChanges(db, cursors, PAGE));
    await add(bare, () => db.unsafe(LOOK_UP, values, { prepare: true }));
  }
  return { read, bare };
}
