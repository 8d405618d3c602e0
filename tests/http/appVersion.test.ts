/** Clients that are too old (decision W12; platform.md 4.6). */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { routes } from "../../src/app.ts";
import { loadConfig } from "../../src/config.ts";
import { ApiError } from "../../src/errors.ts";
import { isSemanticVersion, requireCurrentApp } from "../../src/http/appVersion.ts";
import { newUser } from "../support/client.ts";
import { expectError } from "../support/containerCalls.ts";
import { goodRequest, nameOf, outcomeOf, type Stage, setStage } from "../support/routeCases.ts";
import { startTestServer } from "../support/server.ts";

/** What a route for apps says to a client of that version, when it must have at least another. */
function verdictOn(version: string, least: string): "current" | "old" | "unreadable" {
  const request = new Request("http://localhost/", { headers: { AppVersion: version } });
  try {
    requireCurrentApp(request, "/api/container", least);
    return "current";
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return error.type === "CLIENT_OUT_OF_DATE" ? "old" : "unreadable";
  }
}

/** semver.org, rule 11: each is older than the next. */
const IN_ORDER = [
  "1.0.0-1",
  "1.0.0-9",
  "1.0.0-10",
  "1.0.0-alpha",
  "1.0.0-alpha.1",
  "1.0.0-alpha.beta",
  "1.0.0-beta",
  "1.0.0-beta.2",
  "1.0.0-beta.11",
  "1.0.0-rc.1",
  "1.0.0",
  "1.0.1",
  "1.2.0",
  "1.10.0",
  "2.0.0-0",
  "2.0.0",
  "2.1.0",
  "2.1.1",
  "10.0.0",
  "999999999999999.0.0",
];

describe("the order of versions", () => {
  test("W12: it is the one of semver.org's rule 11, pre-releases by number where they are numbers", () => {
    for (const [index, version] of IN_ORDER.entries()) {
      for (const [otherIndex, least] of IN_ORDER.entries()) {
        const expected = index < otherIndex ? "old" : "current";
        expect({ version, least, verdict: verdictOn(version, least) }).toEqual({ version, least, verdict: expected });
      }
    }
  });

  test("W12: build metadata does not count", () => {
    expect(verdictOn("1.2.3+20261128.a", "1.2.3")).toBe("current");
    expect(verdictOn("1.2.3", "1.2.3+build")).toBe("current");
    expect(verdictOn("1.2.3-rc.1+zzz", "1.2.3-rc.2")).toBe("old");
  });

  const part = fc.oneof(fc.nat({ max: 30 }).map(String), fc.stringMatching(/^[0-9]{0,2}[A-Za-z-][0-9A-Za-z-]{0,2}$/));
  const version = fc.record({
    core: fc.tuple(fc.nat({ max: 11 }), fc.nat({ max: 11 }), fc.nat({ max: 2 })),
    parts: fc.array(part, { maxLength: 3 }),
  });
  interface Version {
    core: readonly number[];
    parts: readonly string[];
  }
  const textOf = ({ core, parts }: Version) => core.join(".") + (parts.length > 0 ? `-${parts.join(".")}` : "");

  /** Rule 11 word for word. */
  function order(a: Version, b: Version): number {
    for (const index of [0, 1, 2]) {
      const difference = (a.core[index] ?? 0) - (b.core[index] ?? 0);
      if (difference !== 0) return difference;
    }
    if (a.parts.length === 0 || b.parts.length === 0) return b.parts.length - a.parts.length;
    for (const [index, left] of a.parts.entries()) {
      const right = b.parts[index];
      if (right === undefined) return 1;
      if (left === right) continue;
      const [isLeftNumber, isRightNumber] = [/^\d+$/.test(left), /^\d+$/.test(right)];
      if (isLeftNumber && isRightNumber) return Number(left) - Number(right);
      if (isLeftNumber !== isRightNumber) return isLeftNumber ? -1 : 1;
      return left < right ? -1 : 1;
    }
    return a.parts.length - b.parts.length;
  }

  test("W12: it agrees with the rule written out, on any two versions", () => {
    fc.assert(
      fc.property(version, version, (a, b) => {
        expect(verdictOn(textOf(a), textOf(b))).toBe(order(a, b) < 0 ? "old" : "current");
      }),
      { numRuns: 3000 },
    );
  });
});

describe("what is a version", () => {
  test.each([
    "0.0.4",
    "1.2.3",
    "10.20.30",
    "1.1.2-prerelease+meta",
    "1.1.2+meta-valid",
    "1.0.0-alpha0.valid",
    "1.0.0-alpha-a.b-c-somethinglong+build.1-aef.1-its-okay",
    "2.0.0+build.1848",
    "1.0.0-0A.is.legal",
    "1.2.3----RC-SNAPSHOT.12.9.1--.12+788",
    "1.0.0+0.build.1-rc.10000aaa-kk-0.1",
  ])("W12: %s is one", (text) => {
    expect(isSemanticVersion(text)).toBe(true);
    expect(verdictOn(text, "0.0.1")).toBe("current");
  });

  test.each([
    "",
    "1",
    "1.2",
    "1.2.3.4",
    "v1.2.3",
    "01.1.1",
    "1.01.1",
    "1.2.3-0123",
    "1.2.3-01.a",
    "1.2.3+",
    "1.2.3-",
    "1.0.0-alpha..1",
    "1.0.0-alpha_beta",
    "1.1.2+.123",
    "-1.0.3-gamma",
    "1.2.x",
    "^1.2.3",
    ">=1.2.3",
    "1.2.3 || 9.9.9",
    "1.2.3, 9.9.9",
    "latest",
    "99999999999999999999.0.0",
    "1.0.0-99999999999999999999",
    `1.0.0-${"a".repeat(95)}`,
    "1.2.é",
  ])("platform 4.6: %p is none, and told so: INCORRECTLY_FORMED", (text) => {
    expect(isSemanticVersion(text)).toBe(false);
    expect(verdictOn(text, "0.0.1")).toBe("unreadable");
  });

  test("W12: the setting takes nothing else", () => {
    const problemsOf = (text: string) => {
      const loaded = loadConfig({ ENTRIES_MIN_APP_VERSION: text });
      return "problems" in loaded ? loaded.problems : [];
    };
    expect(problemsOf("1.2.0-rc.1")).toEqual([]);
    for (const text of ["", "1.2", "v1.2.3", "latest"]) {
      expect(problemsOf(text)).toHaveLength(1);
      expect(problemsOf(text)[0]).toStartWith("ENTRIES_MIN_APP_VERSION ");
    }
  });
});

/** What clients of any version may ask for. */
const OPEN = ["GET /api/heartbeat", "GET /api/health", "GET /api/auth/csrf-token"];
const isForApps = ({ spec }: (typeof routes)[number]) => spec.path.startsWith("/api/") && spec.answers !== "page";

describe("routes", () => {
  let unset: Stage;
  let set: Stage;
  beforeAll(async () => {
    unset = await setStage(await startTestServer());
    const environment = { ENTRIES_MIN_APP_VERSION: "1.10.0" };
    set = { ...unset, server: await startTestServer(environment, unset.server.database) };
  });
  afterAll(async () => {
    await set.server.stop();
    await unset.server.stop();
  });

  async function outcomeFor(stage: Stage, route: (typeof routes)[number], headers: Record<string, string>) {
    const request = await goodRequest(unset, route, "json");
    return outcomeOf(stage, { ...request, headers: { ...request.headers, ...headers } });
  }

  test.each(routes.map((route) => [nameOf(route), route] as const))(
    "W12: %s, asked by an old client",
    async (name, route) => {
      const { status, type } = await outcomeFor(set, route, { AppVersion: "1.9.9" });
      if (isForApps(route) && !OPEN.includes(name)) {
        expect({ status, type }).toEqual({ status: 418, type: "CLIENT_OUT_OF_DATE" });
      } else {
        expect(status).not.toBe(418);
      }
    },
  );

  test("W12: the right version, a newer one and none are let in", async () => {
    const headerSets: Record<string, string>[] = [{}, { AppVersion: "1.10.0" }, { appversion: "2.0.0-alpha" }];
    for (const headers of headerSets) {
      expect((await set.server.client().call("GET", "/api/auth/session", { headers })).error?.err_type).toBe(
        "TOKEN_MISSING",
      );
    }
  });

  test("W12: the refusal names the version that is needed, in the client's encoding, and nothing was done", async () => {
    for (const encoding of ["protobuf", "json"] as const) {
      const user = newUser();
      const answer = await set.server.client(encoding).createUser(user, { AppVersion: "1.10.0-rc.1" });
      expectError(answer, "CLIENT_OUT_OF_DATE", 418);
      expect(answer.error?.err_message).toContain("1.10.0");
      expect(await set.server.db`select from users where email = ${user.email}`).toHaveLength(0);
    }
  });

  test("platform 4.6: a header that is no version is INCORRECTLY_FORMED, but only where it is asked for", async () => {
    const headers = { AppVersion: "1.2" };
    expectError(await set.server.client().createUser(newUser(), headers), "INCORRECTLY_FORMED");
    expect((await set.server.client().call("GET", "/api/heartbeat", { headers })).status).toBe(200);
    expect((await set.server.client().call("OPTIONS", "/api/user", { headers })).status).toBe(200);
    expectError(await set.server.client().call("GET", "/nowhere", { headers }), "PREHANDLER", 404);
  });

  test("W12: without the setting the header means nothing", async () => {
    for (const version of ["0.0.1", "garbage", ""]) {
      expect((await unset.server.client().createUser(newUser(), { AppVersion: version })).status).toBe(201);
    }
  });

  test("platform 2.2: the limit comes first, so old clients that do not stop asking are limited", async () => {
    const environment = { ENTRIES_MIN_APP_VERSION: "1.10.0", ENTRIES_READ_FAIR_USE_LIMITER_MAX_PER_PERIOD: "2" };
    const limited = await startTestServer(environment, unset.server.database);
    const take = limited.services.limiter.take.bind(limited.services.limiter);
    limited.services.limiter.take = (limitClass) => take(limitClass, "192.0.2.1"); // nobody has an address here
    const ask = () => limited.client().call("GET", "/api/auth/session", { headers: { AppVersion: "1.0.0" } });
    expect([(await ask()).status, (await ask()).status, (await ask()).status]).toEqual([418, 418, 429]);
    await limited.stop();
  });
});
