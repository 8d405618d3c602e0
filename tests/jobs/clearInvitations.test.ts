/** The job that clears what is left of invitations: accept keys whose time is over, and invitations that are old. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Box, Device } from "../support/client.ts";
import { expectEmptyOk, expectError } from "../support/containerCalls.ts";
import {
  acceptToken,
  type Guest,
  invite,
  inviteAndUnwrap,
  listPending,
  mustAccept,
  putAccept,
  putDecline,
  retract,
  secsFrom,
  senderToken,
  signUpGuest,
} from "../support/invitations.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { countRows, DAY_MS, MINUTE_MS, runJob } from "./jobRows.ts";

const JOB = "Clear Expired Container Invites";
const BUCKET_MS = 5_000_000_000;
const LONG_SESSIONS = {
  ENTRIES_ACCESS_TOKEN_LIFETIME_MINS: "525600",
  ENTRIES_REFRESH_TOKEN_LIFETIME_DAYS: "3650",
};

let server: TestServer;
let sender: Device;
let guest: Guest;
let box: Box;

beforeAll(async () => {
  server = await startTestServer(LONG_SESSIONS);
  server.clock.aheadMs = -300 * DAY_MS; // the tests move it forward, to no later than now: container tokens stay good
  sender = await server.signUp();
  guest = await signUpGuest(server);
  box = await sender.createContainer();
});
afterAll(() => server.stop());

const acceptKeys = (id: string) => countRows(server.db, "container_accept_keys", `key_id = '${id}'`);
const invitations = (id: string) => countRows(server.db, "container_share_invites", `id = '${id}'`);

/** Puts the clock so many milliseconds after the beginning of the next creation bucket. */
function startBucket(ms: number): void {
  const { clock, services } = server;
  clock.aheadMs += BUCKET_MS - (services.now() % BUCKET_MS) + ms;
}

/** An invitation for a time, and what its recipient made of it. */
function inviteFor(ms: number) {
  const expiration = BigInt(server.services.now() + ms) * 1000n;
  return inviteAndUnwrap(server, sender, box, guest, { expiration });
}

test("5.6: an accept key goes when its invitation's time is over, not a minute earlier, and no other one", async () => {
  const { sent, received } = await inviteFor(DAY_MS);
  const other = await inviteFor(3 * DAY_MS);
  server.clock.aheadMs += DAY_MS - MINUTE_MS;
  await runJob(server, JOB);
  expect(await acceptKeys(sent.accept_key_id)).toBe(1);

  server.clock.aheadMs += 2 * MINUTE_MS;
  expectError(await putAccept(guest, acceptToken(received)), "OUT_OF_DATE");
  await runJob(server, JOB);
  expect(await acceptKeys(sent.accept_key_id)).toBe(0);
  const { box: opened } = await mustAccept(guest, other.received);
  expect(opened.id).toBe(box.id);
});

test("5.6: an invitation whose accept key was cleared is still listed, but neither acceptable nor declinable", async () => {
  const { sent, received } = await inviteFor(DAY_MS);
  server.clock.aheadMs += DAY_MS + MINUTE_MS;
  await runJob(server, JOB);

  expect((await listPending(guest)).map(({ id }) => id)).toContain(sent.id);
  expectError(await putAccept(guest, acceptToken(received)), "INVITATION_DOES_NOT_EXIST");
  expectError(await putDecline(guest, acceptToken(received)), "INVITATION_DOES_NOT_EXIST");
  expectEmptyOk(await retract(sender, senderToken(sent)));
});

test("5.6, 8 security: the accept key of a retracted invitation goes when its time is over", async () => {
  const { sent } = await inviteFor(DAY_MS);
  expectEmptyOk(await retract(sender, senderToken(sent)));
  expect(await acceptKeys(sent.accept_key_id)).toBe(1);
  server.clock.aheadMs += DAY_MS + MINUTE_MS;
  await runJob(server, JOB);
  expect(await acceptKeys(sent.accept_key_id)).toBe(0);
});

test("5.6: an invitation goes at an age between 57.9 and 115.7 days, when its bucket is two behind", async () => {
  startBucket(MINUTE_MS);
  const first = await invite(server, sender, box, guest);
  server.clock.aheadMs += BUCKET_MS - 2 * MINUTE_MS;
  const last = await invite(server, sender, box, guest);

  // The second of the two is 57.9 days old less a minute: no invitation of this bucket goes before all are old enough.
  server.clock.aheadMs += BUCKET_MS;
  await runJob(server, JOB);
  expect(await invitations(first.id)).toBe(1);
  expect(await invitations(last.id)).toBe(1);

  server.clock.aheadMs += 2 * MINUTE_MS;
  const fresh = await invite(server, sender, box, guest);
  await runJob(server, JOB);
  expect(await invitations(first.id)).toBe(0);
  expect(await invitations(last.id)).toBe(0);
  expect(await invitations(fresh.id)).toBe(1);
});

test("11: an invitation of bucket 0 goes, a fresh one stays", async () => {
  const [old, fresh] = [await invite(server, sender, box, guest), await invite(server, sender, box, guest)];
  await server.db`
    update container_share_invites set created_unix_timestamp_intdiv_five_million = 0 where id = ${old.id}`;
  await runJob(server, JOB);
  expect((await listPending(guest)).map(({ id }) => id)).toContain(fresh.id);
  expect(await invitations(old.id)).toBe(0);
});

test("C2: where invitations may be good for a year, none goes as long as it can be accepted", async () => {
  const patient = await startTestServer({ ...LONG_SESSIONS, ENTRIES_INVITATION_MAX_LIFETIME_DAYS: "365" });
  try {
    patient.clock.aheadMs = -364 * DAY_MS;
    const [ann, ben] = [await patient.signUp(), await signUpGuest(patient)];
    const expiration = BigInt(secsFrom(patient, 365)) * 1_000_000n;
    const { received } = await inviteAndUnwrap(patient, ann, await ann.createContainer(), ben, { expiration });
    patient.clock.aheadMs = 0;
    await runJob(patient, JOB);
    await mustAccept(ben, received);
  } finally {
    await patient.stop();
  }
});
