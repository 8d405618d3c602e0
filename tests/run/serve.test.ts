/** The start of the server: what it says of itself, and what its settings lead to. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { askForDeletion } from "../deletion/steps.ts";
import { clientOf, dataDirOf, homeFolder, serve, setUpBinary } from "../support/binarySetup.ts";
import { Outbox, signUp } from "../support/outbox.ts";
import { until } from "./listening.ts";

setUpBinary();

test("port 0: links in mails lead to the port that was taken", async () => {
  const server = serve();
  const url = await server.listening();
  const outbox = new Outbox(dataDirOf(homeFolder()));
  const { device } = await signUp(clientOf(url), outbox);
  expect((await askForDeletion(device, [])).status).toBe(200);
  const mails = () =>
    outbox
      .names()
      .map((name) => readFileSync(join(dataDirOf(homeFolder()), "outbox", name), "utf8").replaceAll("=\r\n", ""));
  await until(() => mails().some((mail) => mail.includes("/account/deletion?token")));
  expect(mails().find((mail) => mail.includes("/account/deletion?token"))).toContain(`${url}/account/deletion`);
  expect(await server.stop()).toBe(0);
});

test("W2: the log says where a GET with a body is answered; nothing answers when it is not asked for", async () => {
  const without = serve();
  await without.listening();
  expect((await without.logged("listening")).get_body_port).toBeUndefined();
  expect(await without.stop()).toBe(0);

  const server = serve({ env: { ENTRIES_GET_BODY_PORT: "0" } });
  await server.listening();
  const { get_body_port } = await server.logged("listening");
  expect((await fetch(`http://127.0.0.1:${get_body_port}/api/heartbeat`)).status).toBe(404);
  expect((await fetch(`http://127.0.0.1:${get_body_port}/api/container`)).status).toBe(401);
  expect(await server.stop()).toBe(0);
});
