import { containerDoesNotExist } from "../db/containerChange.ts";
import { sync as queries } from "../db/queries.ts";
import type { Db } from "../db/query.ts";
import type { ContainerAccess } from "../http/access.ts";
import type { Category, Entry } from "../wire/common.ts";
import type { Encodable } from "../wire/message.ts";
import { cursorAt, positionOf } from "./cursor.ts";
import type { ContainerChanges } from "./messages.ts";

/** More than what is told of a container takes in protobuf, besides its rows, in bytes. */
const CONTAINER_BYTES = 48;

/** What the rows of container_changes are (sql/sync/changes.sql). */
const RANK = { container: 0, category: 1, entry: 2 } as const;
/** Place of the only row when a key does not open its container. */
const REFUSED = 0;

/** Where a client stands in a container. */
export interface ClientCursor extends ContainerAccess {
  since: bigint;
}

export interface PageLimits {
  /** Of the whole answer in protobuf; only a single row may be larger. */
  bytesMax: number;
  rowsMax: number;
}

/**
 * Reads one page of what is new since each cursor, in the order of the cursors and in one snapshot. A container for whose
 * rows the page has no room keeps its cursor and says `more`.
 *
 * @throws ApiError CONTAINER_DOES_NOT_EXIST when one of the keys is gone
 */
export async function readChanges(
  db: Db,
  cursors: readonly ClientCursor[],
  { bytesMax, rowsMax }: PageLimits,
): Promise<Encodable<ContainerChanges>[]> {
  if (cursors.length === 0) return [];
  const positions = cursors.map(({ since }) => positionOf(since));
  const rows = await queries.changes(db, {
    key_ids: cursors.map(({ key_id }) => key_id),
    container_ids: cursors.map(({ container_id }) => container_id),
    positions: positions.map(({ position }) => position),
    marks: positions.map(({ mark }) => mark),
    bytes_max: Math.max(0, bytesMax - CONTAINER_BYTES * cursors.length),
    rows_max: rowsMax,
  });
  if (rows[0]?.place === REFUSED) throw containerDoesNotExist();

  const changes = cursors.map(nothingNew);
  for (const row of rows) {
    const target = changes[row.place - 1];
    if (!target) throw new Error(`container_changes answered place ${row.place} of ${cursors.length}`);
    if (row.rank === RANK.container) target.container = row;
    else if (row.rank === RANK.category) target.categories.push(row);
    else if (row.rank === RANK.entry) target.entries.push(row);
    else {
      target.more = row.more;
      target.reset = row.reset;
      if (row.sequence !== null) target.cursor = cursorAt(row.sequence, row.purged_sequence);
    }
  }
  return changes;
}

interface ChangesSoFar extends Encodable<ContainerChanges> {
  cursor: bigint;
  more: boolean;
  reset: boolean;
  categories: Encodable<Category>[];
  entries: Encodable<Entry>[];
}

function nothingNew({ container_id, since }: ClientCursor): ChangesSoFar {
  return { container_id, cursor: since, more: false, reset: false, container: null, categories: [], entries: [] };
}
