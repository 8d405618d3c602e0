/** Rules about the code itself that a reviewer would otherwise have to remember. */
import { beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type App, createApp, routes } from "../src/app.ts";
import type { Services } from "../src/services.ts";

const SRC = join(import.meta.dir, "../src");
const FEATURES = [
  "auth",
  "session",
  "recovery",
  "user",
  "credential",
  "address",
  "deletion",
  "factor",
  "events",
  "container",
  "entry",
  "category",
  "invitation",
  "sync",
  "ops",
  "openapi",
  "site",
];
const SHARED = ["http", "wire", "crypto", "db", "mail", "settings"];
const LIMIT_CLASSES = ["create", "read", "modify", "expensive-auth", "light-auth", "error-report"];
const TOKENS = ["user", "userIfSent", "signIn", "refresh", "container", "accept", "inviteSender"];

/** Open to everybody. Whoever adds a line here has thought about what a stranger can do with the route. */
const TOKENLESS = [
  "GET /api/heartbeat",
  "GET /healthz",
  "GET /readyz",
  // Only from the operator's networks, and with the operator's keys.
  "GET /metrics",
  "GET /api/health",
  "GET /api/client-errors",
  "POST /api/client-errors",
  "GET /api/auth/csrf-token",
  "GET /api/auth/nonce-and-auth-string-params",
  "POST /api/auth/sign-in",
  "POST /api/user",
  "GET /api/auth/recovery-params",
  "POST /api/auth/recovery/begin",
  "POST /api/auth/recover-with-recovery-key",
  "PUT /api/user/password",
  // The same for everybody: what this server is, and how its API is used.
  "GET /",
  "GET /favicon.svg",
  "GET /docs",
  "GET /docs/swagger-ui-bundle.js",
  "GET /docs/swagger-ui.css",
  "GET /docs/start.js",
  "GET /docs/docs.css",
  "GET /openapi.json",
  "GET /schema.proto",
  // Pages behind a link in a mail, which holds a token.
  "GET /account/deletion",
  "POST /account/deletion",
  "GET /api/user/deletion/verify",
  "POST /api/user/deletion/verify",
  "GET /account/email",
  "POST /account/email",
];

/** What computes a password hash (decision A1, S7). */
const HASHING = [
  "POST /api/auth/sign-in",
  "POST /api/user",
  "PUT /api/user/password",
  "PUT /api/user/recovery-key",
  "PUT /api/user/account-key",
  "POST /api/auth/recovery/begin",
  "POST /api/auth/recover-with-recovery-key",
  "PUT /api/user/email",
  "POST /api/user/second-factor/totp",
  "POST /api/user/second-factor/passkey",
  "POST /api/user/second-factor/recovery-codes",
  "DELETE /api/user/second-factor",
];

const files = readdirSync(SRC, { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".ts"));
const textOf = (path: string) => readFileSync(join(SRC, path), "utf8");
const folderOf = (path: string) => (path.includes("/") ? (path.split("/")[0] ?? "") : "");

/** The files that a file imports, relative to `src`; packages are left out. */
function importsOf(path: string): string[] {
  return [...textOf(path).matchAll(/(?:from|import) "(\.{1,2}\/[^"]+)"/g)].map(([, target = ""]) =>
    join(path, "..", target),
  );
}

describe("routes", () => {
  let app: App;
  beforeAll(() => {
    // Building the app asks nothing of the services but this setting.
    app = createApp({ config: { bodySizeMaxMb: 1 } } as Services);
  });

  test("every route that the app answers is declared, with a limit class and its tokens", () => {
    const declared = new Map(routes.map(({ spec }) => [`${spec.method} ${spec.path}`, spec]));
    expect(declared.size).toBe(routes.length);

    const answered = app.routes.filter(({ path }) => path !== "*" && path !== "/*");
    expect(answered.map(({ method, path }) => `${method} ${path}`).sort()).toEqual([...declared.keys()].sort());
    for (const [route, spec] of declared) {
      expect([...LIMIT_CLASSES, "unlimited"], route).toContain(spec.limit);
      for (const need of Object.keys(spec.tokens)) expect(TOKENS, route).toContain(need);
      expect(spec.summary, route).toMatch(/^[A-Z].*\.$/);
    }
  });

  test("exactly the expected routes are open without a token", () => {
    const open = routes.filter(({ spec }) => Object.keys(spec.tokens).every((kind) => kind === "userIfSent"));
    expect(open.map(({ spec }) => `${spec.method} ${spec.path}`).sort()).toEqual([...TOKENLESS].sort());
  });

  test("only what operators and their machines poll is unlimited", () => {
    const unlimited = routes.filter(({ spec }) => spec.limit === "unlimited").map(({ spec }) => spec.path);
    expect(unlimited).toEqual(["/api/heartbeat", "/healthz", "/readyz", "/metrics"]);
  });

  test("accounts.md 1.2: what computes a hash is limited as expensive, and a container token comes with a user", () => {
    for (const { spec } of routes) {
      const hashes = HASHING.includes(`${spec.method} ${spec.path}`);
      expect(spec.limit === "expensive-auth", `${spec.method} ${spec.path}`).toBe(hashes);
      const { user, container, accept, inviteSender } = spec.tokens;
      if (container || accept || inviteSender) expect(user, spec.path).toBe(true);
    }
  });
});

describe("folders", () => {
  test("every folder of src has its place in these rules", () => {
    const folders = new Set(files.map(folderOf).filter((folder) => folder !== ""));
    expect(
      [...folders].filter((name) => ![...FEATURES, ...SHARED, "backup", "commands", "jobs", "run"].includes(name)),
    ).toEqual([]);
  });

  test("shared folders import no feature", () => {
    const breaches = files
      .filter((path) => SHARED.includes(folderOf(path)))
      .flatMap((path) => importsOf(path).map((target) => `${path} imports ${target}`))
      .filter((breach) => FEATURES.includes(folderOf(breach.split(" imports ")[1] ?? "")));
    expect(breaches).toEqual([]);
  });

  test("features and shared folders know nothing of the jobs", () => {
    const importers = files.filter((path) => importsOf(path).some((target) => folderOf(target) === "jobs"));
    expect(importers.filter((path) => [...FEATURES, ...SHARED].includes(folderOf(path)))).toEqual([]);
    expect(importers).toContain("run/server.ts");
  });

  test("only the app imports a feature's routes", () => {
    const importers = files.filter((path) => importsOf(path).some((target) => target.endsWith("/routes.ts")));
    expect(importers).toEqual(["app.ts"]);
  });

  test("only the query function runs SQL that is not written beside it", () => {
    const callers = files.filter((path) => /\.unsafe\(/.test(textOf(path)) && !path.startsWith("db/"));
    expect(callers).toEqual([]);
  });

  test("a statement that takes a sequence number compares removed_keys under the lock, or takes the lock itself", () => {
    const sql = join(SRC, "../sql");
    const unguarded = readdirSync(sql, { recursive: true, encoding: "utf8" }).filter((path) => {
      if (!path.endsWith(".sql") || /^(?:migrations|backup)\/|^container\/rekey/.test(path)) return false; // rekey: locked by lock.sql
      const text = readFileSync(join(sql, path), "utf8");
      return (
        text.includes("set last_sequence") && !text.includes("removed_keys = (select head.removed_keys from head)")
      );
    });
    expect(unguarded, "see sql/entry/soft_delete.sql for the guard").toEqual([]);
  });

  test("no file has a name that says nothing", () => {
    const names = files.filter((path) => /(?:^|\/)(?:utils?|helpers?|index|misc)\.ts$/.test(path));
    expect(names).toEqual([]);
  });
});

describe("comments", () => {
  test("every file says at its head what it is, or each function that it exports says what it does", () => {
    const silent = files.flatMap((path) => {
      const text = textOf(path);
      if (text.startsWith("/**")) return [];
      const lines = text.split("\n");
      return lines.flatMap((line, index) => {
        const name = /^export (?:async )?function (\w+)/.exec(line)?.[1];
        const isDocumented = lines[index - 1]?.endsWith("*/");
        return name && !isDocumented ? [`${path}: ${name}`] : [];
      });
    });
    expect(silent).toEqual([]);
  });

  test("no file holds a path of somebody's machine or an unfinished place", () => {
    const marks = /\/(?:home|Users|work|tmp)\/|\bTODO\b|\bFIXME\b|\bXXX\b/;
    expect(files.filter((path) => marks.test(textOf(path)))).toEqual([]);
  });
});
