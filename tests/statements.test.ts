/** How many round trips to the database each route makes. Whoever adds one to a route changes its number here. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { routes } from "../src/app.ts";
import { createUnverified, refreshed, secondDevice, signInAgain } from "./support/accounts.ts";
import { createTestDatabase } from "./support/database.ts";
import { goodRequest, nameOf, outcomeOf, type Stage, setStage } from "./support/routeCases.ts";
import { startTestServer, type TestServer } from "./support/server.ts";
import { type WatchedDatabase, watchStatements } from "./support/statements.ts";

/** Of a request that succeeds, where it can with the sample body; a wrong passcode costs the same as a right one. */
const STATEMENTS: Record<string, number> = {
  "GET /api/heartbeat": 0,
  "GET /healthz": 0,
  "GET /readyz": 2,
  "GET /metrics": 0,
  "GET /api/health": 0,
  "GET /api/client-errors": 0,
  "POST /api/client-errors": 0,
  "GET /api/auth/csrf-token": 0,
  "GET /api/auth/nonce-and-auth-string-params": 1,
  "POST /api/auth/sign-in": 2,
  "POST /api/auth/otp/verify": 1,
  "GET /api/auth/otp": 1,
  "POST /api/auth/otp": 1,
  "POST /api/auth/otp/resend-signin-otp": 1,
  "GET /api/auth/otp/second-factors": 1,
  "POST /api/auth/otp/passkey-options": 1,
  "POST /api/auth/token/refresh": 1,
  "POST /api/auth/logout": 1,
  "GET /api/auth/session": 1,
  "PUT /api/auth/session/label": 1,
  "DELETE /api/auth/session": 1,
  "DELETE /api/auth/session/all-others": 1,
  "GET /api/auth/recovery-params": 1,
  "POST /api/auth/recovery/begin": 1,
  "POST /api/auth/recover-with-recovery-key": 1, // of an unknown address; one more with the right key
  "POST /api/user": 2,
  "GET /api/user/public-key": 1,
  "PUT /api/user/public-key": 1,
  "PUT /api/user/preferences": 1,
  "PUT /api/user/keystore": 1,
  "PUT /api/user/password": 2,
  "PUT /api/user/recovery-key": 1,
  "PUT /api/user/account-key": 1,
  "PUT /api/user/email": 2,
  "DELETE /api/user": 2, // one more for keys that this process does not know yet
  "GET /api/user/deletion": 1,
  "DELETE /api/user/deletion": 1,
  "GET /api/user/second-factor": 1,
  "POST /api/user/second-factor/totp": 2,
  // The samples of these two are no answers of an authenticator; tests/factor counts what right ones cost.
  "POST /api/user/second-factor/totp/confirm": 0,
  "POST /api/user/second-factor/passkey": 2,
  "POST /api/user/second-factor/passkey/confirm": 0,
  "POST /api/user/second-factor/recovery-codes": 2,
  "DELETE /api/user/second-factor": 2,
  "GET /api/container": 1,
  "POST /api/container/query": 1,
  "POST /api/container": 1,
  "PUT /api/container": 1,
  "POST /api/container/bulk-upload": 2, // the sample's account has done its one: tests/container counts a first one
  "POST /api/container/upload": 5,
  "DELETE /api/container/leave": 2, // the first with a key that this process does not know
  "GET /api/container/member": 1,
  "DELETE /api/container/member": 1,
  "PUT /api/container/rekey": 7,
  "POST /api/container/invitation": 2,
  "PUT /api/container/invitation/accept": 2, // an accept token's key is asked for, each time; of another's invitation
  "PUT /api/container/invitation/decline": 2,
  "DELETE /api/container/invitation": 2,
  "GET /api/container/invitation/all-pending": 1,
  "POST /api/container/entry": 1,
  "PUT /api/container/entry": 1,
  "DELETE /api/container/entry": 1,
  "POST /api/container/category": 1,
  "PUT /api/container/category": 1,
  "DELETE /api/container/category": 1,
  "POST /api/container/entry-and-category": 1,
  "POST /api/container/changes": 1,
  "GET /": 0,
  "GET /favicon.svg": 0,
  "GET /docs": 0,
  "GET /docs/swagger-ui-bundle.js": 0,
  "GET /docs/swagger-ui.css": 0,
  "GET /docs/start.js": 0,
  "GET /docs/docs.css": 0,
  "GET /openapi.json": 0,
  "GET /schema.proto": 0,
};

const NO_LIMITS = { ENTRIES_OTP_SEND_MAX_PER_PERIOD: "1000", ENTRIES_SIGNIN_LIMITER_MAX_PER_PERIOD: "1000" };

let server: TestServer;
let watch: WatchedDatabase;
let stage: Stage;
beforeAll(async () => {
  watch = watchStatements(await createTestDatabase());
  server = await startTestServer(NO_LIMITS, watch.database);
  stage = await setStage(server);
});
afterAll(() => server.stop());

describe("statements per route", () => {
  const counted = routes.filter(({ spec }) => spec.answers !== "page" && !spec.isStream);

  test("every route has a number", () => {
    expect(counted.map(nameOf).sort(), "a new route: add its number of statements to STATEMENTS above").toEqual(
      Object.keys(STATEMENTS).sort(),
    );
  });

  test.each(counted.map((route) => [nameOf(route), route] as const))("%s", async (name, route) => {
    const request = await goodRequest(stage, route, "protobuf");
    // The sample's access token is of no session.
    if (route.spec.tokens.user) request.headers["x-access-token"] = stage.device.accessToken;
    watch.take();
    await outcomeOf(stage, request);
    const statements = watch.take();
    expect(statements, name).toHaveLength(STATEMENTS[name] ?? -1);
  });
});

describe("issue 4: what a device does every day", () => {
  test("a sign-in: one for the nonce, two and the hash for the password, one for the passcode", async () => {
    const { user } = stage.device;
    watch.take();
    const { signinToken, otp } = await signInAgain(server, user);
    expect(watch.take()).toHaveLength(3);
    expect((await server.client().verifyOtp(signinToken, otp)).status).toBe(200);
    expect(watch.take()).toHaveLength(1);
  });

  test("a stream of changes: one to open", async () => {
    const headers = { ...stage.device.headers(stage.box) };
    watch.take();
    const request = new Request("http://localhost/api/container/events", { headers });
    const response = await server.app.handle(request);
    expect([response.status, watch.take().length]).toEqual([200, 1]);
    await response.body?.cancel();
  });

  test("refresh and logout: one each", async () => {
    const device = await secondDevice(server, stage.device);
    watch.take();
    const next = await refreshed(device);
    expect(watch.take()).toHaveLength(1);
    expect((await next.client.logout(next.accessToken, next.refreshToken)).status).toBe(200);
    expect(watch.take()).toHaveLength(1);
  });

  test("a sign-up: two and the hashes", async () => {
    watch.take();
    await createUnverified(server);
    expect(watch.take()).toHaveLength(2);
  });
});
