/** Who opens a container: its access keys, how one leaves and how one is removed (containers.md 4.12, decision C8). */
import { containerDoesNotExist, readOnlyAccess, settleChange } from "../db/containerChange.ts";
import { container as queries } from "../db/queries.ts";
import type { Db } from "../db/query.ts";
import { ApiError } from "../errors.ts";
import type { ContainerAccess } from "../http/access.ts";
import { endpoint } from "../http/endpoint.ts";
import { type MemberKey, MemberKeyId, MemberKeyList } from "./messages.ts";

export const memberRoutes = [
  endpoint(
    {
      method: "DELETE",
      path: "/api/container/leave",
      summary: "Removes the caller's own key; with the last key the container is deleted for good.",
      limit: "modify",
      tokens: { user: true, container: "read" },
    },
    async ({ services, proofs }) => {
      await leaveContainer(services.db, proofs.container);
    },
  ),

  endpoint(
    {
      method: "GET",
      path: "/api/container/member",
      summary: "Lists the container's access keys. Whose they are is not known here.",
      limit: "read",
      tokens: { user: true, container: "write" },
      response: MemberKeyList,
    },
    async ({ services, proofs }) => ({ keys: await listMembers(services.db, proofs.container) }),
  ),

  endpoint(
    {
      method: "DELETE",
      path: "/api/container/member",
      summary: "Removes another member's key, and ends all invitations. The others should re-key the container then.",
      limit: "modify",
      tokens: { user: true, container: "write" },
      request: MemberKeyId,
      errors: ["INVALID_STATE", "KEY_DOES_NOT_EXIST"],
    },
    async ({ services, body, proofs }) => {
      await removeMember(services.db, proofs.container, body.value);
    },
  ),
];

/** Removes the caller's key, and the container with the last one. @throws ApiError CONTAINER_DOES_NOT_EXIST */
async function leaveContainer(db: Db, access: ContainerAccess): Promise<void> {
  await settleChange(
    () => queries.leave(db, access),
    (row) => row.has_left,
    () => undefined,
  );
}

/** Every key of the container, by id. @throws ApiError CONTAINER_DOES_NOT_EXIST, READ_ONLY_ACCESS */
async function listMembers(db: Db, { key_id, container_id }: ContainerAccess): Promise<MemberKey[]> {
  const rows = await queries.members(db, { container_id });
  const keys = rows.map((row) => ({ ...row, is_own: row.key_id === key_id }));
  const own = keys.find(({ is_own }) => is_own);
  if (!own) throw containerDoesNotExist();
  if (own.read_only) throw readOnlyAccess();
  return keys;
}

/** @throws ApiError INVALID_STATE for the caller's own key, KEY_DOES_NOT_EXIST, and those of settleChange */
async function removeMember(db: Db, access: ContainerAccess, removed_key_id: string): Promise<void> {
  await settleChange(
    () => queries.remove_member(db, { ...access, removed_key_id }),
    (row) => row.was_removed,
    () =>
      removed_key_id === access.key_id
        ? new ApiError("INVALID_STATE", "This is your own key. Leave the container instead.")
        : new ApiError("KEY_DOES_NOT_EXIST", "The container has no such access key."),
  );
}
