/** S10, S18: an account that left its address, and an address that is HTML. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { referenceToken, userIdOf } from "../support/accounts.ts";
import { Device } from "../support/client.ts";
import { invite, listPending, signUpGuest } from "../support/invitations.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { confirm, expectChanged, issueLink, linkFor, TITLES } from "./links.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

test("S10: A's old tokens list the invitations to A, wherever it moved, and none to the next holder of its address", async () => {
  const host = await server.signUp();
  const [first, second] = [await host.createContainer(), await host.createContainer()];
  const ann = await signUpGuest(server);
  const former = ann.user.email;
  const user_id = await userIdOf(server, ann.user);
  const ofTheReference = referenceToken(server, "Access", { user_id, email: former });
  const annsDevices = [ann, new Device(server.client(), ofTheReference, "")];
  const forAnn = await invite(server, host, first, ann);
  expectChanged(await confirm(server, await linkFor(server, ann)));
  const ben = await server.signUp({ ...ann.user, email: former });
  const forBen = await invite(server, host, second, ben);

  const idsSeenBy = async (device: Device) => (await listPending(device)).map(({ id }) => id);
  for (const device of annsDevices) expect(await idsSeenBy(device)).toEqual([forAnn.id]);
  expect(await idsSeenBy(ben)).toEqual([forBen.id]);
});

test("S18: an address that is HTML is escaped on the page that says it is taken, too", async () => {
  const strange = `<img src=x onerror=alert(1)>"'&@example.com`;
  const account = await server.signUp();
  const holder = await server.signUp();
  await server.db`update users set email = ${strange} where email = ${holder.user.email}`;
  const page = await confirm(server, await issueLink(server, account, strange));

  expect({ status: page.status, title: page.title }).toEqual({ status: 400, title: TITLES.taken });
  expect(page.html).toContain(Bun.escapeHTML(strange));
  expect(page.html).not.toContain("<img");
});
