/** Accounts whose deletion was confirmed, as the routes leave them, and what is left of them afterwards. */
import type { Db } from "../../src/db/query.ts";
import type { NewUser } from "../../src/user/messages.ts";
import { userIdOf } from "../support/accounts.ts";
import type { Box, Device } from "../support/client.ts";
import type { TestServer } from "../support/server.ts";
import { countRows, DAY_MS, inMs } from "./jobRows.ts";

export type Account = Device & { user: NewUser; id: string };

export async function signUp(server: TestServer): Promise<Account> {
  const device = await server.signUp();
  return Object.assign(device, { id: await userIdOf(server, device.user) });
}

/** Lists keys as `DELETE /api/user` does: what was listed before stays. */
export async function listKeys(server: TestServer, { id }: Account, boxes: readonly Box[]): Promise<void> {
  for (const { key_id } of boxes) {
    await server.db`
      insert into user_deletion_request_container_keys (user_id, key_id, delete_me_time)
      values (${id}, ${key_id}, ${inMs(server, 30 * DAY_MS)}::timestamp)
      on conflict (user_id, key_id) do update set delete_me_time = excluded.delete_me_time`;
  }
}

/** Confirms the deletion, due so many milliseconds ago. */
export async function confirm(server: TestServer, { id }: Account, dueSinceMs = 1000): Promise<void> {
  await server.db`
    insert into user_deletion_requests (user_id, ready_for_deletion_time)
    values (${id}, ${inMs(server, -dueSinceMs)}::timestamp)
    on conflict (user_id) do update set ready_for_deletion_time = excluded.ready_for_deletion_time`;
}

export async function isThere(db: Db, { id }: Account): Promise<boolean> {
  return (await countRows(db, "users", `id = '${id}'`)) === 1;
}

/** The containers of these that still exist, by their position in the list. */
export async function remaining(db: Db, boxes: readonly Box[]): Promise<number[]> {
  const rows = await db<{ id: string }[]>`select id from containers where id = any (${boxes.map(({ id }) => id)})`;
  const ids = new Set(rows.map(({ id }) => id));
  return boxes.flatMap((box, index) => (ids.has(box.id) ? [index] : []));
}

/** Containers that no key opens: nobody could ever read or remove them. */
export async function orphans(db: Db): Promise<number> {
  return countRows(
    db,
    "containers",
    "not exists (select from container_access_keys where container_id = containers.id)",
  );
}
