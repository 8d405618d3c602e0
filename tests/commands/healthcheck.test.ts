/** `healthcheck`: asks a server whether it is ready, in bounded time. */
import { afterEach, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { UsageError } from "../../src/commands/command.ts";
import { askReadiness, ownUrl } from "../../src/commands/healthcheck.ts";
import { startTestServer } from "../support/server.ts";

const PEM = readFileSync(join(import.meta.dir, "../mail/certificates/test-only-localhost.pem"), "utf8");

const servers: Bun.Server<undefined>[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop(true);
});

function answering(answer: () => Response | Promise<Response>, isTls = false): string {
  const tls = isTls ? { tls: { key: PEM, cert: PEM } } : {};
  const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: answer, ...tls });
  servers.push(server);
  return `${isTls ? "https" : "http"}://127.0.0.1:${server.port}/readyz`;
}

describe("issue 6.7: healthcheck", () => {
  test("knows a server of ours that is ready", async () => {
    const server = await startTestServer();
    const url = answering(() => server.app.handle(new Request("http://localhost/readyz")));
    expect(await askReadiness(url, true)).toEqual({ isReady: true, isOurs: true, text: "ready" });
    await server.stop();
  });

  test("says why another answer is none", async () => {
    const notReady = answering(() => Response.json({ status: "not ready", reason: "stopping" }, { status: 503 }));
    expect(await askReadiness(notReady, true)).toEqual({
      isReady: false,
      isOurs: true,
      text: "answered 503: stopping",
    });
    for (const body of ["hello", "{", "[]", "null", '{"status":"other"}']) {
      const url = answering(() => new Response(body));
      expect(await askReadiness(url, true)).toEqual({ isReady: false, isOurs: false, text: "answered 200" });
    }
    const elsewhere = answering(() => Response.redirect("http://127.0.0.1:1/"));
    expect((await askReadiness(elsewhere, true)).text).toBe("answered 302");
  });

  test("waits for nobody for long: not for an answer, nor for the end of one, nor for nobody", async () => {
    const silent = answering(() => new Promise(() => {}));
    expect((await askReadiness(silent, true, 100)).text).toBe("did not answer: nothing within 0.1 s");
    const endless = answering(() => {
      const stream = new ReadableStream({ pull: (controller) => controller.enqueue("x".repeat(65_536)) });
      return new Response(stream);
    });
    expect((await askReadiness(endless, true, 2_000)).isReady).toBe(false);
    const trickling = answering(() => {
      const stream = new ReadableStream({ start: (controller) => controller.enqueue("x") });
      return new Response(stream);
    });
    expect((await askReadiness(trickling, true, 100)).isReady).toBe(false);
    const gone = answering(() => new Response());
    await servers.pop()?.stop(true);
    expect((await askReadiness(gone, true)).text).toBe("did not answer: ECONNREFUSED");
  });

  test("P12: checks the certificate, but not of the server on this machine, which has a public name", async () => {
    const url = answering(() => Response.json({ status: "ready" }), true);
    expect((await askReadiness(url, true)).text).toStartWith("did not answer: ");
    expect((await askReadiness(url, false)).isReady).toBe(true);
  });

  test("asks where the settings let the server listen", () => {
    const at = (bindAddress: string, port = 9000, isTls = false) =>
      ownUrl({ bindAddress, port, tls: isTls ? { certFile: "", keyFile: "" } : undefined });
    expect(at("127.0.0.1")).toBe("http://127.0.0.1:9000/readyz");
    expect(at("0.0.0.0", 1)).toBe("http://127.0.0.1:1/readyz");
    expect(at("::")).toBe("http://[::1]:9000/readyz");
    expect(at("fd00::1", 443, true)).toBe("https://[fd00::1]:443/readyz");
    expect(() => at("127.0.0.1", 0)).toThrow(UsageError);
  });
});
