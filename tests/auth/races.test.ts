/**
 * Races of sign-in and refresh that are certain: all requests wait for one lock, so each has seen the state before any
 * other could change it.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Executor } from "../../src/db/query.ts";
import {
  countByStatus,
  createUnverified,
  granted,
  referenceToken,
  sessionsOf,
  signInAgain,
  userIdOf,
  verdictOn,
} from "../support/accounts.ts";
import { heldUp } from "../support/races.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const REQUESTS = 5;

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

/** The same request several times, all of which wait for a lock that the test holds. */
const together = <Result>(lock: (transaction: Executor) => Promise<unknown>, request: () => Promise<Result>) =>
  heldUp(server.db, lock, Array<typeof request>(REQUESTS).fill(request));

describe("one secret used several times at once", () => {
  test("C7, A3: a refresh token is exchanged once, and the session lives on", async () => {
    const device = await server.signUp();
    const user_id = await userIdOf(server, device.user);
    const answers = await together(
      (transaction) => transaction`select from sessions where user_id = ${user_id} for update`,
      () => server.client().refresh(device.refreshToken),
    );

    expect(countByStatus(answers)).toEqual({ "200": 1, "401 TOKEN_EXPIRED": REQUESTS - 1 });
    const pair = answers.find(({ status }) => status === 200)?.value;
    expect(await verdictOn(server.client(), pair?.access_token ?? "")).toBe("accepted");
    expect((await server.client().refresh(pair?.refresh_token ?? "")).status).toBe(200);
  });

  test("C7: a refresh token of the reference opens one session", async () => {
    const { user } = await server.signUp();
    const user_id = await userIdOf(server, user);
    const token = referenceToken(server, "Refresh", { user_id, email: user.email });
    const before = (await sessionsOf(server, user)).length;
    const answers = await together(
      (transaction) => transaction`select from users where id = ${user_id} for update`,
      () => server.client().refresh(token),
    );

    expect(countByStatus(answers)).toEqual({ "200": 1, "401 TOKEN_EXPIRED": REQUESTS - 1 });
    expect(await sessionsOf(server, user)).toHaveLength(before + 1);
  });

  test("C9, A6: a nonce lets one password be checked", async () => {
    const { user } = await server.signUp();
    const { nonce } = granted(await server.client().nonce(user.email));
    const answers = await together(
      (transaction) => transaction`select from signin_challenges where nonce = ${nonce} for update`,
      () => server.client().signInWith({ email: user.email, auth_string: user.auth_string, nonce }),
    );

    expect(countByStatus(answers)).toEqual({ "200": 1, "401 INCORRECT_NONCE": REQUESTS - 1 });
  });

  test("C10, A7: a passcode opens one session", async () => {
    const { user, signinToken, otp } = await createUnverified(server);
    const user_id = await userIdOf(server, user);
    const answers = await together(
      (transaction) => transaction`select from users where id = ${user_id} for update`,
      () => server.client().verifyOtp(signinToken, otp),
    );

    expect(countByStatus(answers)).toEqual({ "200": 1, "401 INCORRECT_CREDENTIAL": REQUESTS - 1 });
    expect(await sessionsOf(server, user)).toHaveLength(1);
  });

  test("S5, A7: five guesses of a passcode at once cost all its attempts", async () => {
    const { user, signinToken, otp } = await createUnverified(server);
    const user_id = await userIdOf(server, user);
    const guess = () => server.client().verifyOtp(signinToken, otp === "12345678" ? "12345679" : "12345678");
    await together((transaction) => transaction`select from user_otps where user_id = ${user_id} for update`, guess);

    expect(countByStatus([await server.client().verifyOtp(signinToken, otp)])).toEqual({
      "401 INCORRECT_CREDENTIAL": 1,
    });
  });
});

test("E3: a sign-in to an account that is verified does not write its row", async () => {
  const { user } = await server.signUp();
  const version = async () => {
    const [row] = await server.db`select xmin::text, ctid::text from users where email = ${user.email}`;
    return { ...row };
  };
  const before = await version();
  const { signinToken, otp } = await signInAgain(server, user);
  expect((await server.client().verifyOtp(signinToken, otp)).status).toBe(200);
  expect(await version()).toEqual(before);
});
