/** HTTPS without a proxy (P12): the files are checked, and a new certificate is taken without losing anybody. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadConfig } from "../../src/config.ts";
import { readTlsPair } from "../../src/settings/tls.ts";
import { EventReader } from "../events/eventReader.ts";
import { dataDirOf, homeFolder, serve, setUpBinary, start } from "../support/binarySetup.ts";
import { Client } from "../support/client.ts";
import { makeFolder, removeFolder } from "../support/executable.ts";
import { Outbox, signUp } from "../support/outbox.ts";
import {
  certificateFile,
  certificateNameAt,
  exchangeableCertificate,
  heartbeatStatus,
  heldRequest,
  keepAsking,
  until,
} from "./listening.ts";

setUpBinary();

const LOCALHOST = certificateFile("localhost");

let folder: string;
let files = 0;
beforeAll(async () => {
  folder = await makeFolder("entries-tls-");
});
afterAll(() => removeFolder(folder));

describe("P12: the files of a certificate", () => {
  const load = (certFile?: string, keyFile?: string, more: Record<string, string> = {}) =>
    loadConfig({
      ...(certFile !== undefined && { ENTRIES_TLS_CERT_FILE: certFile }),
      ...(keyFile !== undefined && { ENTRIES_TLS_KEY_FILE: keyFile }),
      ...more,
    });
  const problemsOf = (...files: [string?, string?]) => {
    const result = load(...files);
    return "problems" in result ? result.problems.join("\n") : "";
  };
  function fileWith(text: string): string {
    const path = join(folder, `file-${++files}.pem`);
    writeFileSync(path, text);
    return path;
  }

  test("a good pair is taken, and links in mails begin with https", () => {
    const result = load(LOCALHOST, LOCALHOST, { ENTRIES_PORT: "8443" });
    expect(result).toMatchObject({
      config: { tls: { certFile: LOCALHOST, keyFile: LOCALHOST }, publicUrl: "https://127.0.0.1:8443" },
      warnings: [],
    });
  });

  test("without them there is no HTTPS", () => {
    expect(load()).toMatchObject({ config: { tls: undefined, publicUrl: "http://127.0.0.1:9000" } });
  });

  test("one without the other is a problem", () => {
    expect(problemsOf(LOCALHOST)).toBe("ENTRIES_TLS_KEY_FILE is missing: HTTPS needs a certificate and its key.");
    expect(problemsOf(undefined, LOCALHOST)).toStartWith("ENTRIES_TLS_CERT_FILE is missing");
  });

  test("what cannot be read, is no PEM, or is locked is a problem that names the file", () => {
    const junk = fileWith("junk");
    const missing = join(folder, "missing.pem");
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const locked = fileWith(
      String(privateKey.export({ format: "pem", type: "pkcs8", cipher: "aes-256-cbc", passphrase: "secret" })),
    );
    expect(problemsOf(missing, LOCALHOST)).toContain(`Cannot read the file ${missing} (ENOENT).`);
    expect(problemsOf(LOCALHOST, missing)).toContain(`Cannot read the file ${missing} (ENOENT).`);
    expect(problemsOf(junk, LOCALHOST)).toContain(`${junk} holds no certificate in PEM form`);
    expect(problemsOf(LOCALHOST, junk)).toContain(`${junk} holds no private key in PEM form`);
    expect(problemsOf(LOCALHOST, locked)).toContain(`The key in ${locked} is protected by a passphrase`);
  });

  test("another certificate's key is a problem", () => {
    const elsewhere = certificateFile("elsewhere");
    expect(problemsOf(LOCALHOST, elsewhere)).toContain(
      `The key in ${elsewhere} is not the key of the certificate in ${LOCALHOST}.`,
    );
  });

  test("a certificate out of its time can be used, with a warning", () => {
    const at = (date: string) => readTlsPair({ certFile: LOCALHOST, keyFile: LOCALHOST }, Date.parse(date)).doubt;
    expect(at("2030-01-01")).toBeUndefined();
    expect(at("2100-01-01")).toContain("expired on 2099-01-01");
    expect(at("2019-12-31")).toContain("is valid from 2020-01-01 on only");
  });

  test("a public address with http is doubtful", () => {
    const { warnings } = load(LOCALHOST, LOCALHOST, { ENTRIES_PUBLIC_URL: "http://entries.example.org" });
    expect(warnings).toEqual([expect.stringContaining("ENTRIES_PUBLIC_URL begins with http:")]);
  });

  test("W2: so is a port for a GET with a body beside HTTPS; on the same port as everything it is a problem", () => {
    const { warnings } = load(LOCALHOST, LOCALHOST, { ENTRIES_GET_BODY_PORT: "9001" });
    expect(warnings).toEqual([expect.stringContaining("ENTRIES_GET_BODY_PORT is a port for a proxy")]);
    expect(load(undefined, undefined, { ENTRIES_GET_BODY_PORT: "9000" })).toMatchObject({
      problems: ["ENTRIES_GET_BODY_PORT and ENTRIES_PORT must differ."],
    });
  });

  test("the server does not start with a wrong pair, and says why", async () => {
    const elsewhere = certificateFile("elsewhere");
    const server = serve({ env: { ENTRIES_TLS_CERT_FILE: LOCALHOST, ENTRIES_TLS_KEY_FILE: elsewhere } });
    expect(await server.exited).toBe(2);
    expect(server.stderr).toContain("is not the key of the certificate");
  });
});

/** A server with HTTPS whose certificate can be exchanged. */
async function serveSecurely(args: string[] = []) {
  const own = join(folder, `server-${++files}`);
  mkdirSync(own);
  const certificate = exchangeableCertificate(own);
  const server = start(["--port", "0", ...args], { env: certificate.env });
  const url = await server.listening();
  return { server, url, certificate };
}

/** A stream of a new container's changes, whose first event was read, and its owner. */
async function openStream(url: string) {
  const send = (request: Request) => fetch(request, { tls: { rejectUnauthorized: false } });
  const { device } = await signUp(new Client(send, "protobuf", url), new Outbox(dataDirOf(homeFolder())));
  const box = await device.createContainer();
  const answer = await send(new Request(`${url}/api/container/events`, { headers: device.headers(box) }));
  const reader = new EventReader(answer);
  await reader.next();
  return { device, box, reader };
}

const reloads = (server: { logLines(): { event: string }[] }) =>
  server.logLines().filter(({ event }) => event === "certificate reloaded").length;

describe("P12: HTTPS", () => {
  test("is what the server speaks, and nothing else", async () => {
    const { server, url } = await serveSecurely();
    expect(url).toStartWith("https://127.0.0.1:");
    expect(await heartbeatStatus(url)).toBe(200);
    expect(await certificateNameAt(url)).toBe("localhost");
    await expect(fetch(`${url.replace("https", "http")}/api/heartbeat`)).rejects.toThrow();
    expect(await server.stop()).toBe(0);
  });

  test("SIGHUP takes a new certificate: no client notices, on kept connections and on new ones, and streams go on", async () => {
    const { server, url, certificate } = await serveSecurely();
    const { device, box, reader } = await openStream(url);
    const asking = [keepAsking(url, 3), keepAsking(url, 3, false)];
    for (let round = 1; round <= 4; round++) {
      certificate.put(round % 2 === 1 ? "elsewhere" : "localhost");
      server.signal("SIGHUP");
      await until(() => reloads(server) === round);
      await until(async () => (await certificateNameAt(url)) === (round % 2 === 1 ? "elsewhere" : "localhost"));
      for (let time = 0; time < 5; time++) {
        expect(await certificateNameAt(url)).toBe(round % 2 === 1 ? "elsewhere" : "localhost");
      }
    }
    for (const { answered, failed } of await Promise.all(asking.map((clients) => clients.stop()))) {
      expect(failed).toEqual([]);
      expect(answered).toBeGreaterThan(20);
    }
    await device.createEntry(box);
    expect(await reader.next()).toBeDefined();
    // P11: nor does a stream, or what is left of the old listeners, hold up the stop.
    expect(await server.stop()).toBe(0);
    expect(server.logLines().filter(({ level }) => level === "error")).toEqual([]);
  });

  test("P11: a stop answers what is under way, also on a connection of an earlier certificate", async () => {
    const { server, url, certificate } = await serveSecurely();
    const early = await heldRequest(url);
    certificate.put("elsewhere");
    server.signal("SIGHUP");
    await until(() => reloads(server) === 1);
    const late = await heldRequest(url);
    server.signal("SIGTERM");
    await server.logged("stopping");
    await Bun.sleep(300);
    early.finish();
    late.finish();
    expect([await early.status, await late.status]).toEqual([400, 400]);
    expect(await server.exited).toBe(0);
  });

  test("a bad new certificate is logged, and the old one stays until a good one comes", async () => {
    const { server, url, certificate } = await serveSecurely();
    writeFileSync(certificate.file, "half a certif");
    server.signal("SIGHUP");
    const line = await server.logged("the certificate was not reloaded; the old one stays");
    expect(line).toMatchObject({ level: "error", reason: expect.stringContaining("holds no certificate in PEM form") });
    expect(await certificateNameAt(url)).toBe("localhost");
    // Its first certificate is good, so that only the runtime finds what is wrong with the file.
    certificate.put("elsewhere");
    appendFileSync(certificate.file, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    server.signal("SIGHUP");
    await until(() => server.logLines().filter(({ level }) => level === "error").length === 2);
    expect(await certificateNameAt(url)).toBe("localhost");
    certificate.put("elsewhere");
    server.signal("SIGHUP");
    await until(async () => (await certificateNameAt(url)) === "elsewhere");
    expect(await server.stop()).toBe(0);
  });

  test("a second server on the port is refused, although the port can be shared for a reload", async () => {
    const { url } = await serveSecurely();
    const env = { ENTRIES_TLS_CERT_FILE: LOCALHOST, ENTRIES_TLS_KEY_FILE: LOCALHOST };
    const second = start(["--port", new URL(url).port, "--data-dir", join(folder, "second")], { env });
    expect(await second.exited).toBe(1);
    expect(await second.logged("the server cannot start")).toMatchObject({
      reason: expect.stringContaining("another program listens there"),
    });
  });

  test("with workers all of them take the new certificate, and a bad one is logged once", async () => {
    const { server, url, certificate } = await serveSecurely(["--workers", "2"]);
    certificate.put("elsewhere");
    server.signal("SIGHUP");
    await until(() => reloads(server) === 2);
    await until(async () => {
      const names = await Promise.all(Array.from({ length: 8 }, () => certificateNameAt(url)));
      return names.every((name) => name === "elsewhere");
    });
    writeFileSync(certificate.file, "");
    server.signal("SIGHUP");
    await server.logged("the certificate was not reloaded; the old one stays");
    expect(await heartbeatStatus(url)).toBe(200);
    expect(await server.stop()).toBe(0);
    expect(server.logLines().filter(({ level }) => level === "error")).toHaveLength(1);
    expect(reloads(server)).toBe(2);
  });
});

describe("SIGHUP without HTTPS", () => {
  test("changes nothing and ends nothing", async () => {
    const server = serve();
    const url = await server.listening();
    server.signal("SIGHUP");
    await server.logged("nothing to reload: there is no certificate");
    expect((await fetch(`${url}/api/heartbeat`)).status).toBe(200);
    expect(await server.stop()).toBe(0);
  });
});
