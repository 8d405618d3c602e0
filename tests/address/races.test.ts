/** Changes of an address at the same time, by two processes (decision A10, accounts.md C5). */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createUnverified, sessionsOf, signInAgain, userIdOf } from "../support/accounts.ts";
import { expectEmptyOk } from "../support/containerCalls.ts";
import { someoneWaits } from "../support/races.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import {
  addressOf,
  confirm,
  countByTitle,
  expectChanged,
  freshAddress,
  issueLink,
  linkFor,
  type Mover,
  mover,
  type Seen,
  SUBJECTS,
  subjectsTo,
  TITLES,
} from "./links.ts";

let server: TestServer;
let second: TestServer;
beforeAll(async () => {
  server = await startTestServer();
  second = await startTestServer({}, server.database);
});
afterAll(async () => {
  await second.stop();
  await server.stop();
});

describe("at the same time", () => {
  const theirs = (index: number) => (index % 2 ? server : second);

  test("A10: of several confirmations of one link one wins, the others are void, and both addresses are told once", async () => {
    const { account, id, new_email, link } = await mover(server);
    const before = [server, second].flatMap(({ letters }) => letters).length;
    const pages = await Promise.all(Array.from({ length: 8 }, (_, index) => confirm(theirs(index), link)));
    expect(countByTitle(pages)).toEqual({ [`200 ${TITLES.changed}`]: 1, [`400 ${TITLES.void}`]: 7 });
    expect(await addressOf(server, id)).toBe(new_email);
    const told = [server, second].flatMap((one) => [
      ...subjectsTo(one, account.user.email).filter((subject) => subject === SUBJECTS.changed),
      ...subjectsTo(one, new_email).filter((subject) => subject === SUBJECTS.isYours),
    ]);
    expect(told.sort()).toEqual([SUBJECTS.changed, SUBJECTS.isYours].sort());
    expect([server, second].flatMap(({ letters }) => letters).length).toBe(before + 2);
  });

  test("A10: of two links of one account to two addresses one wins", async () => {
    const account = await server.signUp();
    const id = await userIdOf(server, account.user);
    const addresses = [freshAddress(), freshAddress()];
    const links = [await linkFor(server, account, addresses[0]), await linkFor(server, account, addresses[1])];
    const pages = await Promise.all(links.map((link, index) => confirm(theirs(index), link)));
    expect(countByTitle(pages)).toEqual({ [`200 ${TITLES.changed}`]: 1, [`400 ${TITLES.void}`]: 1 });
    expect(await addressOf(server, id)).toBe(addresses[pages.findIndex(({ status }) => status === 200)]);
  });

  test("C5: of several accounts that want one address one gets it, the others are told that it is taken", async () => {
    const new_email = freshAddress();
    const movers: Mover[] = [];
    for (let index = 0; index < 5; index++) movers.push(await mover(server, new_email));
    const pages = await Promise.all(movers.map(({ link }, index) => confirm(theirs(index), link)));
    expect(countByTitle(pages)).toEqual({ [`200 ${TITLES.changed}`]: 1, [`400 ${TITLES.taken}`]: 4 });
    for (const [index, { account, id }] of movers.entries()) {
      expect(await addressOf(server, id)).toBe(pages[index]?.status === 200 ? new_email : account.user.email);
    }
  });

  test("C5: a confirmation that the database sends back from a deadlock is tried again", async () => {
    const { account, id, new_email, link } = await mover(server);
    const holder = await server.signUp();
    const holderId = await userIdOf(server, holder.user);
    await server.db`update users set email = ${new_email} where id = ${holderId}`;
    let confirmed: Promise<Seen> | undefined;
    await server.db.begin(async (transaction) => {
      await transaction`update users set email = ${freshAddress()} where id = ${holderId}`;
      confirmed = confirm(server, link); // holds its own account and waits for the address
      await someoneWaits(server.db, 1);
      await transaction`update users set email = email where email = ${account.user.email}`; // closes the circle
    });
    expect((await confirmed)?.title).toBe(TITLES.changed);
    expect(await addressOf(server, id)).toBe(new_email);
  });

  test("C5: two accounts that swap their addresses wait for each other, and neither gets a server error", async () => {
    for (let round = 0; round < 3; round++) {
      const [ann, ben] = [await server.signUp(), await server.signUp()];
      const links = [await issueLink(server, ann, ben.user.email), await issueLink(server, ben, ann.user.email)];
      const pages = await Promise.all(links.map((link, index) => confirm(theirs(index), link)));
      expect(countByTitle(pages)).toEqual({ [`400 ${TITLES.taken}`]: 2 });
    }
  });

  test("A10: a sign-up and a confirmation for one address: one of them gets it", async () => {
    for (let round = 0; round < 4; round++) {
      const { id, new_email, link } = await mover(server);
      const { user } = await createUnverified(server);
      const [page, created] = await Promise.all([
        confirm(server, link),
        second.client().createUser({ ...user, email: new_email }),
      ]);
      const outcome = `${page.status} ${created.status}`;
      expect(["200 400", "400 201"]).toContain(outcome);
      expect((await addressOf(server, id)) === new_email).toBe(page.status === 200);
    }
  });

  test("A10: a passcode that is used at the same moment: the sign-in goes through or is void, never an error", async () => {
    for (let round = 0; round < 4; round++) {
      const { account, link } = await mover(server);
      const { signinToken, otp } = await signInAgain(server, account.user);
      const [page, session, asked] = await Promise.all([
        confirm(server, link),
        second.client().verifyOtp(signinToken, otp),
        second.client().call("POST", "/api/auth/otp", { headers: account.headers() }),
      ]);
      expectChanged(page);
      expectEmptyOk(asked);
      expect([200, 401]).toContain(session.status);
      expect(await sessionsOf(server, await newest(link))).toHaveLength(session.status === 200 ? 2 : 1);
    }
  });

  /** The account as it is after a link was confirmed. */
  async function newest(link: URL) {
    const { tokens } = server.services;
    const { new_email } = tokens.verify(tokens.decode(link.searchParams.get("token") ?? ""), "EmailChange", 0);
    return { email: new_email } as Parameters<typeof sessionsOf>[1];
  }
});
