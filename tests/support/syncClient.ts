/** A client that keeps copies of containers by incremental sync: it knows nothing but what `changes` answers. */
import {
  type ContainerChanges,
  ContainerChangesList,
  ContainerChangesRequest,
  type ContainerState,
} from "../../src/sync/messages.ts";
import type { Category, Entry } from "../../src/wire/common.ts";
import { type Answer, type Box, type Device, Refused } from "./client.ts";

/** Asks for changes as they are answered, refusals included. */
export function postChanges(
  device: Device,
  containers: ContainerChangesRequest["containers"],
  max_bytes?: number,
): Promise<Answer<ContainerChangesList>> {
  const body = { containers, ...(max_bytes !== undefined && { max_bytes }) };
  return device.client.call("POST", "/api/container/changes", {
    request: [ContainerChangesRequest, body],
    response: ContainerChangesList,
    headers: device.headers(),
  });
}

/** The changes of one container, as one request answers them. @throws Refused */
export async function changesOf(device: Device, box: Box, since = 0n, max_bytes?: number): Promise<ContainerChanges> {
  const { status, value, error } = await postChanges(device, [{ token: box.token(), since }], max_bytes);
  const [changes] = value?.changes ?? [];
  if (!changes) throw new Refused("asking for changes", status, error?.err_type, error?.err_message);
  return changes;
}

/** What a client has of a container. Tombstones are not kept. */
export class LocalCopy {
  cursor = 0n;
  container: ContainerState | undefined;
  readonly categories = new Map<string, Category>();
  readonly entries = new Map<string, Entry>();
  resets = 0;

  /** @throws Error when the answer is none that a client could rely on */
  apply(changes: ContainerChanges): void {
    const { cursor, more, reset, container, categories, entries } = changes;
    if (reset) this.#drop();
    const rows = [...categories, ...entries];
    if (new Set(rows.map(({ id }) => id)).size < rows.length) throw new Error("a page holds a row twice");
    const isEmpty = !reset && rows.length === 0 && container === undefined;
    if (isEmpty && more && cursor !== this.cursor) throw new Error("a page without room has moved the cursor");
    if (rows.length > 0 && cursor === this.cursor) throw new Error("a page has rows, but the cursor has not moved");
    if (container) this.container = container;
    if (container?.deleted_at !== undefined) this.#dropRows();
    for (const row of categories) keep(this.categories, row);
    for (const row of entries) keep(this.entries, row);
    this.cursor = cursor;
  }

  #drop(): void {
    this.resets++;
    this.container = undefined;
    this.#dropRows();
  }

  #dropRows(): void {
    this.categories.clear();
    this.entries.clear();
  }
}

function keep<Row extends { id: string; deleted_at?: bigint }>(rows: Map<string, Row>, row: Row): void {
  if (row.deleted_at === undefined) rows.set(row.id, row);
  else rows.delete(row.id);
}

/** Requests in a row that a client makes before it gives up on a server that always has more. */
const PAGES_MAX = 100_000;

export class SyncClient {
  readonly copies: ReadonlyMap<string, LocalCopy>;
  polls = 0;

  constructor(
    readonly device: Device,
    readonly boxes: readonly Box[],
    public max_bytes?: number,
  ) {
    this.copies = new Map(boxes.map((box) => [box.id, new LocalCopy()]));
  }

  copyOf({ id }: Box): LocalCopy {
    const copy = this.copies.get(id);
    if (!copy) throw new Error("the client does not follow this container");
    return copy;
  }

  get resets(): number {
    return [...this.copies.values()].reduce((sum, { resets }) => sum + resets, 0);
  }

  /** One request. @returns whether there is more. @throws Refused */
  async poll(): Promise<boolean> {
    this.polls++;
    const cursors = this.boxes.map((box) => ({ token: box.token(), since: this.copyOf(box).cursor }));
    const { status, value, error } = await postChanges(this.device, cursors, this.max_bytes);
    if (!value) throw new Refused("asking for changes", status, error?.err_type, error?.err_message);
    const { changes } = value;
    const ids = changes.map(({ container_id }) => container_id);
    if (ids.join() !== this.boxes.map(({ id }) => id).join()) throw new Error("the answer is not in the asked order");
    const isMoving = changes.some(({ container_id, cursor }) => cursor !== this.copies.get(container_id)?.cursor);
    const hasMore = changes.some(({ more }) => more);
    if (hasMore && !isMoving) throw new Error("a page says that there is more, but holds nothing");
    for (const page of changes) this.copies.get(page.container_id)?.apply(page);
    return hasMore;
  }

  /** Polls until there is nothing new. @throws Refused */
  async catchUp(): Promise<void> {
    for (let page = 0; page < PAGES_MAX; page++) if (!(await this.poll())) return;
    throw new Error("there was no end of pages");
  }
}
