/** containers.md 8: anybody can send any number of invitations, so the list of them has a limit. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { inviteAndUnwrap, listPending, signUpGuest } from "../support/invitations.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

test("5.5, 8: at most 500 invitations are listed, the first by id", async () => {
  const device = await server.signUp();
  const guest = await signUpGuest(server);
  const { sent } = await inviteAndUnwrap(server, device, await device.createContainer(), guest);
  await server.db.begin(async (transaction) => {
    const [original] = await transaction`select * from container_share_invites where id = ${sent.id}`;
    const copies = Array.from({ length: 600 }, () => ({ ...original, id: crypto.randomUUID() }));
    await transaction`insert into container_share_invites ${transaction(copies)}`;
  });
  const rows = await server.db`
    select id from container_share_invites where recipient_user_email = ${guest.user.email} order by id limit 500`;
  const listed = await listPending(guest);
  expect(listed.map(({ id }) => id)).toEqual(rows.map(({ id }) => id));
  expect(listed).toHaveLength(500);
});
