/** What a hostile or unlucky request must not do: each of these once brought the server down a little. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { overloaded } from "../../src/errors.ts";
import { newUser } from "../support/client.ts";
import { expectError } from "../support/containerCalls.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { exchange, listen, parseAnswer } from "../support/socket.ts";

let server: TestServer;
let listening: ReturnType<typeof listen>;
beforeAll(async () => {
  server = await startTestServer();
  listening = listen(server);
});
afterAll(async () => {
  await listening.stop();
  await server.stop();
});

async function get(path: string, host: string) {
  return parseAnswer(
    await exchange(listening.port, `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`),
  );
}

describe("strange request lines", () => {
  test.each(["[", "a b", "a:99999", "evil/api", "e#x"])("the Host %s is no reason for a 500", async (host) => {
    expect((await get("/nope", host)).status).toBeLessThan(500);
  });

  test.each(["/api//heartbeat", "/api/heartbeat/", "/API/heartbeat", "/api/heartbeat#x"])(
    "2.1: %s is another path: 404",
    async (path) => {
      expect((await get(path, "localhost")).status).toBe(404);
    },
  );
});

describe("W11: a full mail queue", () => {
  test("refuses before anything is changed: no account is made, no passcode is void", async () => {
    const { mailer } = server.services;
    const { user, signinToken } = await createUnverifiedUser();
    const waiting = server.otpFor(user.email);
    mailer.requireRoom = () => {
      throw overloaded("Too many mails wait to be sent; try again later.", 30);
    };

    const another = newUser();
    expectError(await server.client().createUser(another), "PREHANDLER", 503);
    const resent = await server.client().call("POST", "/api/auth/otp/resend-signin-otp", {
      headers: { "x-signin-token": signinToken },
    });
    expectError(resent, "PREHANDLER", 503);
    mailer.requireRoom = () => {};

    expect((await server.client().createUser(another)).status).toBe(201);
    expect((await server.client().verifyOtp(signinToken, waiting)).status).toBe(200);
  });

  async function createUnverifiedUser() {
    const user = newUser();
    const created = await server.client().createUser(user);
    return { user, signinToken: created.value?.value ?? "" };
  }
});

describe("a body that is made to take long", () => {
  test("thousands of members are refused before they are read", async () => {
    const members = Array.from({ length: 60_000 }, (_, index) => `"k${index}":1`).join();
    const startedAt = performance.now();
    const response = await server.app.handle(
      new Request("http://localhost/api/auth/sign-in", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: `{${members}}`,
      }),
    );

    expect(response.status).toBe(400);
    expect(performance.now() - startedAt).toBeLessThan(100);
  });
});

describe("W8: a limit that the settings allow and the tables do not", () => {
  test("is the tables' limit: 104,857,600 bytes", async () => {
    const roomy = await startTestServer(
      { ENTRIES_MAX_SMALL_OBJECT_SIZE_KB: "200000", ENTRIES_PROTOBUF_MAX_SIZE_MB: "300" },
      server.database,
    );
    const device = await roomy.signUp();
    const box = await device.createContainer();
    const entry_id = await device.createEntry(box);
    const edit = { entry_id, version_nonce: 2n, expected_previous_version_nonce: 1n };

    const answer = await device.replaceEntry(box, { ...edit, encrypted_blob: new Uint8Array(104_857_601) });

    expectError(answer, "INPUT_TOO_LARGE");
    await roomy.stop();
  });
});

describe("P11: while the server stops", () => {
  test("every answer tells the client to take another connection next", async () => {
    const { lifecycle } = server.services;
    expect(
      (await server.app.handle(new Request("http://localhost/api/heartbeat"))).headers.get("connection"),
    ).toBeNull();

    lifecycle.isStopping = true;
    const answer = await server.app.handle(new Request("http://localhost/api/heartbeat"));
    lifecycle.isStopping = false;

    expect({ status: answer.status, connection: answer.headers.get("connection") }).toEqual({
      status: 200,
      connection: "close",
    });
  });
});
