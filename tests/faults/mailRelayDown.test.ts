/** A mail relay that is down, and an outbox that cannot be written: who signs up does not notice, up to a bound. */
import { afterAll, afterEach, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { atEnd, cleanUp, freePort, openMailer, openRelay, smtp } from "../mail/mailSetup.ts";
import { newUser } from "../support/client.ts";
import { expectOverloaded, until, untilServed } from "../support/overload.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

setDefaultTimeout(60_000);

const QUEUE_MAX = 3;
const QUICK_RETRIES = { retryDelaysMs: Array<number>(2_000).fill(20) };

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterEach(cleanUp);
afterAll(() => server.stop());

test("W11, P4: while the relay is down accounts are made until the queue is full, then 503; once it is up every mail comes", async () => {
  const port = await freePort();
  const { mailer } = openMailer({ ...smtp(port), queueMax: QUEUE_MAX }, QUICK_RETRIES);
  server.services.mailer = mailer;
  const users = Array.from({ length: QUEUE_MAX }, () => newUser());
  for (const user of users) expect((await server.client().createUser(user)).status).toBe(201);
  const refused = newUser();
  expectOverloaded(await server.client().createUser(refused));
  expect(mailer.stats()).toEqual({ waiting: QUEUE_MAX, sent: 0, failed: 0 });

  const relay = await openRelay({ port });
  const later = await untilServed(() => server.client().createUser(refused));
  expect(later.status).toBe(201); // nothing of it was kept before
  await until(() => mailer.stats().waiting === 0);
  const recipients = relay.received.flatMap(({ to }) => to);
  expect(recipients.toSorted()).toEqual([...users, refused].map(({ email }) => email).toSorted());
});

test("P4, P9: an outbox that cannot be written is told by path and reason, and its mails are written once it can", async () => {
  const directory = mkdtempSync(join(tmpdir(), "entries-outbox-"));
  atEnd(() => rmSync(directory, { recursive: true, force: true }));
  const outboxDir = join(directory, "outbox");
  const { mailer, logLines } = openMailer({ outboxDir }, QUICK_RETRIES);
  server.services.mailer = mailer;
  renameSync(outboxDir, `${outboxDir}.away`);

  expect((await server.client().createUser(newUser())).status).toBe(201);
  await until(() => logLines().length > 0);
  expect(logLines()[0]).toMatchObject({ event: "mail delayed", path: outboxDir, error: "ENOENT" });

  renameSync(`${outboxDir}.away`, outboxDir);
  await until(() => mailer.stats().sent === 1);
  expect(readdirSync(outboxDir)).toHaveLength(1);
});
