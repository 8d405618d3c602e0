/** Asking for the deletion of an account and following the link that comes by mail, as its owner does. */
import { expect } from "bun:test";
import { ContainerAccessTokenList } from "../../src/container/messages.ts";
import { jobs as jobQueries } from "../../src/db/queries.ts";
import { IsUserListedForDeletion, VerificationEmailSent } from "../../src/deletion/messages.ts";
import { deleteDueAccounts } from "../../src/jobs/deleteAccounts.ts";
import { nowMicros } from "../../src/services.ts";
import type { NewUser } from "../../src/user/messages.ts";
import type { Box, Device } from "../support/client.ts";
import { openPage, postForm, type Seen } from "../support/pages.ts";
import type { TestServer } from "../support/server.ts";

export type Account = Device & { user: NewUser };

export const DAY_MS = 86_400_000;

/** Headings of the pages. */
export const TITLES = {
  asking: "Delete your account?",
  scheduled: "The deletion is scheduled",
  already: "The deletion is already scheduled",
  void: "This link is no longer valid",
  expired: "This link has expired",
  invalid: "This link is not valid",
};

/** An account with so many containers. */
export async function accountWith(server: TestServer, containers: number) {
  const account = await server.signUp();
  const boxes: Box[] = [];
  while (boxes.length < containers) boxes.push(await account.createContainer());
  return { account, boxes, tokens: tokensOf(boxes) };
}

export function tokensOf(boxes: readonly Box[]): string[] {
  return boxes.map((box) => box.token());
}

export function expectPage(seen: Seen, status: number, title: string): void {
  expect({ status: seen.status, title: seen.title }).toEqual({ status, title });
}

export function askForDeletion(device: Device, tokens: string[]) {
  return device.client.call("DELETE", "/api/user", {
    request: [ContainerAccessTokenList, { tokens }],
    response: VerificationEmailSent,
    headers: device.headers(),
  });
}

/** The newest deletion link that was mailed to an address. */
export function linkTo({ letters }: TestServer, address: string): string {
  const letter = letters.findLast(({ to, subject }) => to === address && subject.startsWith("Confirm the deletion"));
  const link = /^https?:\S+$/m.exec(letter?.text ?? "")?.[0];
  if (link === undefined) throw new Error("no link was mailed to this address");
  return link;
}

/** Asks for the deletion and fetches the link from the mailbox. */
export async function linkFor(server: TestServer, account: Account, tokens: string[] = []): Promise<string> {
  const answer = await askForDeletion(account, tokens);
  if (answer.status !== 200) throw new Error(`asking for the deletion was answered ${answer.status}`);
  return linkTo(server, account.user.email);
}

export function tokenIn(link: string): string {
  return new URL(link).searchParams.get("token") ?? "";
}

export const open = openPage;

/** Presses the button on the page of a link. */
export function confirm(server: TestServer, link: string) {
  return postForm(server, new URL(link).pathname, { token: tokenIn(link) });
}

/** Whether the account says that its deletion is scheduled; undefined when it answers no more. */
export async function isScheduled(device: Device): Promise<boolean | undefined> {
  const answer = await device.client.call("GET", "/api/user/deletion", {
    response: IsUserListedForDeletion,
    headers: device.headers(),
  });
  return answer.value?.value;
}

export function cancel(device: Device) {
  return device.client.call("DELETE", "/api/user/deletion", { headers: device.headers() });
}

/** The keys that are listed for an account, with the time when they are forgotten, in milliseconds. */
export async function listedKeys({ db }: TestServer, { user }: Account): Promise<Map<string, number>> {
  const rows = await db<{ key_id: string; delete_me_time: bigint }[]>`
    select key_id, delete_me_time from user_deletion_request_container_keys as listed
    join users on users.id = listed.user_id where email = ${user.email}`;
  return new Map(rows.map(({ key_id, delete_me_time }) => [key_id, Number(delete_me_time / 1000n)]));
}

/** When the deletion of an account is due, in milliseconds; undefined when it is not scheduled. */
export async function dueTime({ db }: TestServer, { user }: Account): Promise<number | undefined> {
  const [row] = await db<{ due: bigint }[]>`
    select ready_for_deletion_time as due from user_deletion_requests
    join users on users.id = user_id where email = ${user.email}`;
  return row && Number(row.due / 1000n);
}

/** The two jobs, once each, with the server's clock as it stands: first the one that forgets, then the one that deletes. */
export async function runJobs(server: TestServer): Promise<void> {
  await jobQueries.clear_listed_keys(server.db, { now: nowMicros(server.services), rows_max: 1_000n });
  await deleteDueAccounts(server.services, new AbortController().signal);
}

export async function exists({ db }: TestServer, table: "users" | "containers", id: string): Promise<boolean> {
  const rows = await db`select from ${db(table)} where id = ${id}`;
  return rows.length > 0;
}
