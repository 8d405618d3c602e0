/** Asking for another address and following the link that comes by mail, as its owner does. */
import { expect } from "bun:test";
import { EmailChangeRequest } from "../../src/address/messages.ts";
import type { NewUser } from "../../src/user/messages.ts";
import { userIdOf } from "../support/accounts.ts";
import type { Device } from "../support/client.ts";
import { newUser } from "../support/client.ts";
import { expectEmptyOk } from "../support/containerCalls.ts";
import type { TestServer } from "../support/server.ts";

/** The page's path on the server itself, whatever base the operator has given to links. */
const PATH = "/account/email";

export type Account = Device & { user: NewUser };

/** An address that nobody has. */
export const freshAddress = () => newUser().email;

export function askFor(account: Account, new_email: string, auth_string: Uint8Array = account.user.auth_string) {
  return account.client.call("PUT", "/api/user/email", {
    request: [EmailChangeRequest, { new_email, auth_string }],
    headers: account.headers(),
  });
}

/** The newest link that was mailed to an address. */
export function linkTo(server: TestServer, address: string): URL {
  const letter = server.letters.findLast(({ to, text }) => to === address && text.includes("token="));
  const link = /^https?:\S+$/m.exec(letter?.text ?? "")?.[0];
  if (link === undefined) throw new Error("no link was mailed to this address");
  return new URL(link);
}

/** Asks for a new address and fetches the link from its mailbox. */
export async function linkFor(server: TestServer, account: Account, new_email = freshAddress()): Promise<URL> {
  expectEmptyOk(await askFor(account, new_email));
  return linkTo(server, new_email);
}

/** A link as the server makes them, for what no request would get one for. */
export async function issueLink(server: TestServer, { user }: Account, new_email: string): Promise<URL> {
  const [row] = await server.db`select id, token_epoch from users where email = ${user.email}`;
  const expirationSecs = Math.floor(server.services.now() / 1000) + 3600;
  const { text } = server.services.tokens.issue({
    type: "EmailChange",
    user_id: row?.id,
    bound_to: row?.token_epoch,
    new_email,
    expirationSecs,
  });
  return withToken(text);
}

export function withToken(token: string): URL {
  const url = new URL(`http://localhost${PATH}`);
  url.searchParams.set("token", token);
  return url;
}

export interface Seen {
  status: number;
  headers: Headers;
  html: string;
  /** The heading. */
  title: string | undefined;
}

/** What one sees who opens the link. */
export async function open(server: TestServer, link: URL): Promise<Seen> {
  return seen(await server.app.handle(new Request(`http://localhost${PATH}${link.search}`)));
}

/** What one sees who then presses the page's button. */
export async function confirm(server: TestServer, link: URL): Promise<Seen> {
  const body = new URLSearchParams({ token: link.searchParams.get("token") ?? "" }).toString();
  const headers = { "content-type": "application/x-www-form-urlencoded" };
  return seen(await server.app.handle(new Request(`http://localhost${PATH}`, { method: "POST", headers, body })));
}

async function seen(response: Response): Promise<Seen> {
  const html = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    html,
    title: /<h1>([^<]*)<\/h1>/.exec(html)?.[1],
  };
}

export async function addressOf({ db }: TestServer, user_id: string): Promise<string | undefined> {
  const [row] = await db`select email from users where id = ${user_id}`;
  return row?.email;
}

/** The subjects of the letters to an address, oldest first, without the app's name. */
export function subjectsTo({ letters }: TestServer, address: string): string[] {
  return letters.filter(({ to }) => to === address).map(({ subject }) => subject.replace(" (Entries App)", ""));
}

export const SUBJECTS = {
  asked: "A change of your e-mail address was asked for",
  link: "Confirm your new e-mail address",
  taken: "An account with this e-mail address exists already",
  changed: "The e-mail address of your account was changed",
  isYours: "Your account uses this e-mail address now",
};

export const TITLES = {
  asking: "Use this address?",
  changed: "Your address is changed",
  taken: "This address is in use",
  void: "This link is no longer valid",
  invalid: "This link is not valid",
  expired: "This link has expired",
};

export interface Mover {
  account: Account;
  id: string;
  new_email: string;
  link: URL;
}

/** An account that has asked for a free address. */
export async function mover(server: TestServer, new_email = freshAddress()): Promise<Mover> {
  const account = await server.signUp();
  const id = await userIdOf(server, account.user);
  return { account, id, new_email, link: await linkFor(server, account, new_email) };
}

export function expectChanged({ status, title }: Seen): void {
  expect({ status, title }).toEqual({ status: 200, title: TITLES.changed });
}

/** How many pages had each status and heading, for requests that were sent at once. */
export function countByTitle(pages: readonly Seen[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { status, title } of pages) counts[`${status} ${title}`] = (counts[`${status} ${title}`] ?? 0) + 1;
  return counts;
}
