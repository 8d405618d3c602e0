/** The start of the server: what it says of itself, and what its settings lead to. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import Elysia from "elysia";
import type { App } from "../../src/app.ts";
import { type Config, loadConfig } from "../../src/config.ts";
import { connectDatabase, OTHER_CONNECTIONS } from "../../src/db/connect.ts";
import { silentLog } from "../../src/log.ts";
import { openListener, requireFreePort } from "../../src/run/listener.ts";
import { startOwnDatabase } from "../../src/run/server.ts";
import { askForDeletion } from "../deletion/steps.ts";
import { clientOf, dataDirOf, homeFolder, newFolder, serve, setUpBinary } from "../support/binarySetup.ts";
import { Outbox, signUp } from "../support/outbox.ts";
import { until } from "./listening.ts";

setUpBinary();

function configOf(env: Record<string, string>): Config {
  const loaded = loadConfig(env);
  if (!("config" in loaded)) throw new Error(loaded.problems.join("; "));
  return loaded.config;
}

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

test("P1: the embedded database has room for all connections that the settings allow, and for commands", async () => {
  const config = configOf({ ENTRIES_DATA_DIR: await newFolder("connections") });
  const embedded = await startOwnDatabase(config, 1, 120, silentLog);
  const db = connectDatabase(embedded.connection, config, silentLog);
  const [row] = await db`select current_setting('max_connections')::int as allowed`;
  await db.end();
  await embedded.stop();
  expect(row?.allowed).toBeGreaterThan(120 + OTHER_CONNECTIONS);
});

test("P1: an address to listen on that is none is named, with the setting", () => {
  for (const address of ["nohost.invalid", "fe80::1"]) {
    const config = configOf({ ENTRIES_BIND_ADDRESS: address, ENTRIES_PORT: "19009" });
    expect(() => requireFreePort(config)).toThrow("that is no address of this machine. Correct ENTRIES_BIND_ADDRESS.");
    expect(() => openListener(new Elysia() as unknown as App, config, false, silentLog)).toThrow(
      "that is no address of this machine. Correct ENTRIES_BIND_ADDRESS.",
    );
  }
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
