/** Every route, called by an account whose deletion is under way: it waits for that or does not, and never breaks. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { routes } from "../../src/app.ts";
import { jobs as queries } from "../../src/db/queries.ts";
import type { Endpoint } from "../../src/http/endpoint.ts";
import { userIdOf } from "../support/accounts.ts";
import { goodRequest, nameOf, type Outcome, outcomeOf, type Stage, setStage } from "../support/routeCases.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { confirm, listKeys } from "./dueAccounts.ts";
import { followLog } from "./jobRows.ts";

/** Longer than a request takes until it waits for a lock. */
const MAY_WAIT_MS = 250;

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

/** A new account whose deletion is due, with a container that it lists. */
async function dueStage(): Promise<Stage> {
  const stage = await setStage(server);
  stage.user_id = await userIdOf(server, stage.device.user);
  const account = Object.assign(stage.device, { id: stage.user_id });
  await listKeys(server, account, [stage.box]);
  await confirm(server, account);
  return stage;
}

/** Sends a request while the deletion is not yet committed. */
async function sendMeanwhile(stage: Stage, route: Endpoint): Promise<Outcome> {
  const request = await goodRequest(stage, route, "protobuf");
  if (route.spec.tokens.user) request.headers["x-access-token"] = stage.device.accessToken;
  const now = BigInt(server.services.now()) * 1000n;
  let outcome: Promise<Outcome> | undefined;
  await server.db.begin(async (transaction) => {
    await queries.delete_account(transaction, { user_id: stage.user_id, due_until: now, revoked_until: now });
    outcome = outcomeOf(stage, request);
    await Promise.race([outcome, Bun.sleep(MAY_WAIT_MS)]);
  });
  if (!outcome) throw new Error("the request was not sent");
  return outcome;
}

describe("C1: a request of an account that is being deleted gets an answer, not INTERNAL_ERROR", () => {
  const asked = routes.filter(({ spec }) => spec.limit !== "unlimited");

  test.each(asked.map((route) => [nameOf(route), route] as const))("%s", async (_name, route) => {
    const readLog = followLog(server);
    const { status } = await sendMeanwhile(await dueStage(), route);
    expect(readLog().filter(({ level }) => level === "error")).toEqual([]);
    expect(status).toBeLessThan(500);
  });
});
