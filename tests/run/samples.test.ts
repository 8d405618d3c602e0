/** `sample`: the files that the server is deployed with name nothing that does not exist. */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { routes } from "../../src/app.ts";
import { STATUS_USAGE } from "../../src/commands/command.ts";
import { parseCommandLine } from "../../src/commands/commandLine.ts";
import { SAMPLES } from "../../src/commands/samples.ts";
import { loadConfig } from "../../src/config.ts";
import { SETTINGS } from "../../src/settings/table.ts";
import { settingsOf } from "../../src/settings/tree.ts";
import { run, setUpBinary } from "../support/binarySetup.ts";

setUpBinary();

const { systemd, container, caddy, nginx } = SAMPLES;
const GET_BODY_PORT = "9001";

/** The lines that are no comments. */
const code = (text: string) => text.replace(/^\s*#.*\n/gm, "");

describe("sample", () => {
  test.each(Object.entries(SAMPLES))("%s is in the executable", async (name, text) => {
    expect(await run(["sample", name])).toEqual({ status: 0, stdout: text, stderr: "" });
  });

  test.each(Object.entries(SAMPLES))("%s names only settings and commands that there are", (_, text) => {
    const known = settingsOf(SETTINGS).map(({ env }) => env);
    const named = [...text.matchAll(/\bENTRIES_[A-Z_]+/g)].map(([name]) => name);
    expect(named.filter((name) => !known.includes(name))).toEqual([]);
    const commands = [...text.matchAll(/\bentries-server ((?:sample|config|doctor|healthcheck)(?: [a-z]+)?)/g)];
    for (const [, line = ""] of commands) expect(parseCommandLine(line.split(" "))).toMatchObject({ kind: "run" });
  });

  test.each(Object.entries({ caddy, nginx }))("%s leads to routes and ports that there are", (_, text) => {
    const paths = [...code(text).matchAll(/(?:=|path|respond) (\/[a-z/]+)/g)].map(([, path]) => path);
    expect(paths).toContain("/api/container");
    const known = routes.map(({ spec }) => spec.path as string);
    expect(paths.filter((path) => !known.includes(path ?? ""))).toEqual([]);
    const ports = new Set([...code(text).matchAll(/127\.0\.0\.1:(\d+)/g)].map(([, port]) => port));
    expect(ports).toEqual(new Set([SETTINGS.port.fallback as string, GET_BODY_PORT]));
    expect(text).toContain(`${SETTINGS.getBodyPort.env}=${GET_BODY_PORT}`);
    expect(code(text).split("{").length).toBe(code(text).split("}").length);
  });

  test.each(Object.entries({ caddy, nginx }))(
    "%s: a GET of containers without a header of tokens has a body",
    (_, text) => {
      expect(code(text).toLowerCase()).toMatch(/x.container.access.token/);
      expect(code(text)).toMatch(/^\s*(?:"GET " entries_get_body|reverse_proxy @get_body 127\.0\.0\.1:9001)/m);
    },
  );

  test("nginx holds back no events, has room for fifty tokens and the largest body, and passes the address on", () => {
    const events = /location = \/api\/container\/events \{([^}]*)\}/.exec(nginx)?.[1];
    expect(events).toContain("proxy_buffering off;");
    expect(events).toContain("proxy_read_timeout 1h;");
    expect(nginx).toContain("large_client_header_buffers 4 64k;");
    expect(nginx).toContain(`client_max_body_size ${SETTINGS.bodySizeMaxMb.fallback}m;`);
    expect(nginx).toContain("proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;");
  });

  test("the container's environment is a good configuration, with a health check and no root", () => {
    const pairs = [...code(container).matchAll(/\b(ENTRIES_[A-Z_]+)=(\S+)/g)].map(([, name = "", value]) => [
      name,
      value,
    ]);
    const result = loadConfig(Object.fromEntries(pairs));
    expect(result).toMatchObject({ config: { bindAddress: "0.0.0.0", port: 9000 }, warnings: [], ignored: [] });
    expect(container).toContain("EXPOSE 9000\n");
    expect(container).toMatch(/^USER (?!root|0)/m);
    expect(container).toMatch(/^HEALTHCHECK .* CMD \["entries-server", "healthcheck"\]$/m);
  });

  test("the unit waits for READY=1, reloads by SIGHUP, gives a stop its time, and repeats no wrong configuration", () => {
    for (const line of [
      "Type=notify",
      "ExecReload=/bin/kill -HUP $MAINPID",
      "KillMode=mixed",
      "WatchdogSec=30s",
      "TimeoutStopSec=90s",
      `RestartPreventExitStatus=${STATUS_USAGE}`,
    ]) {
      expect(systemd.split("\n")).toContain(line);
    }
  });

  test.skipIf(Bun.which("systemd-analyze") === null)("the unit is one to systemd", async () => {
    const folder = mkdtempSync(join(tmpdir(), "entries-unit-"));
    const path = join(folder, "entries-server.service");
    writeFileSync(path, systemd.replace(/^ExecStart=.*$/m, "ExecStart=/bin/true"));
    const verify = Bun.spawn(["systemd-analyze", "verify", path], { stdout: "pipe", stderr: "pipe" });
    const complaints = await new Response(verify.stderr).text();
    expect(complaints.split("\n").filter((line) => line.includes("entries-server"))).toEqual([]);
    expect(await verify.exited).toBe(0);
    rmSync(folder, { recursive: true });
  });
});
