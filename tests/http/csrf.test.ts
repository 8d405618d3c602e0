import { describe, expect, test } from "bun:test";
import { ApiError } from "../../src/errors.ts";
import { newCsrfToken, requireCsrf } from "../../src/http/csrf.ts";

const token = newCsrfToken();
const own = { allowedOrigins: ["https://app.example.org", "capacitor://localhost"] };

function check(headers: Record<string, string>, method = "POST"): "passes" | "USER_DISALLOWED" {
  try {
    requireCsrf(
      new Request("http://api.example.org/api/x", { method, headers: { host: "api.example.org", ...headers } }),
      own,
    );
    return "passes";
  } catch (error) {
    if (error instanceof ApiError && error.type === "USER_DISALLOWED" && error.status === 403) return error.type;
    throw error;
  }
}

const proven = { cookie: `x-access-token=t; x-csrf-token=${token}`, "x-csrf-token": token };

describe("double submit", () => {
  test("platform 4.3: a token is 32 random bytes in padded standard base64, fresh each time", () => {
    expect(Buffer.from(token, "base64")).toHaveLength(32);
    expect(token).toMatch(/^[A-Za-z0-9+/]{43}=$/);
    expect(newCsrfToken()).not.toBe(token);
  });

  test.each(["GET", "HEAD", "OPTIONS"])("accounts 3.3: %s passes with any cookie", (method) => {
    expect(check({ cookie: "x-access-token=t", "sec-fetch-site": "cross-site" }, method)).toBe("passes");
  });

  test("accounts 3.3: requests without any of our cookies pass, from anywhere", () => {
    expect(check({})).toBe("passes");
    expect(check({ cookie: "theme=dark", origin: "https://evil.example", "sec-fetch-site": "cross-site" })).toBe(
      "passes",
    );
  });

  test.each([
    "x-csrf-token",
    "x-access-token",
    "x-refresh-token",
    "x-signin-token",
    "x-container-access-token",
    "x-container-accept-token",
    "x-container-invite-sender-token",
  ])("P7: the cookie %s alone asks for the CSRF token", (name) => {
    for (const method of ["POST", "PUT", "DELETE", "PATCH"]) {
      expect(check({ cookie: `${name}=t` }, method)).toBe("USER_DISALLOWED");
    }
  });

  test.each([
    ["equal", token, token, "passes"],
    ["different", token, newCsrfToken(), "USER_DISALLOWED"],
    ["a prefix", token, token.slice(0, -1), "USER_DISALLOWED"],
    ["another case", "abc", "ABC", "USER_DISALLOWED"],
    ["both empty", "", "", "USER_DISALLOWED"],
  ] as const)("accounts 3.3: cookie and header %s", (_what, cookie, header, expected) => {
    expect(check({ cookie: `x-csrf-token=${cookie}`, "x-csrf-token": header })).toBe(expected);
  });

  test("accounts 3.3: a missing header is refused, and so is a missing cookie", () => {
    expect(check({ cookie: proven.cookie })).toBe("USER_DISALLOWED");
    expect(check({ cookie: "x-access-token=t", "x-csrf-token": token })).toBe("USER_DISALLOWED");
  });

  test("P7: a percent-encoded cookie, a malformed pair and a second cookie of the name hide nothing", () => {
    const cookie = `broken; x-csrf-token=other; x-csrf-token=${encodeURIComponent(token)}; x-access-token=t`;
    expect(check({ cookie, "x-csrf-token": token })).toBe("passes");
  });
});

describe("origin of a request with cookies", () => {
  test.each([
    ["https://api.example.org", "api.example.org"],
    ["http://api.example.org", "api.example.org"],
    ["https://API.example.org", "api.Example.org"],
    ["https://api.example.org", "api.example.org:443"],
    ["http://localhost:9000", "localhost:9000"],
    ["http://[::1]:9000", "[::1]:9000"],
    ["https://app.example.org", "api.example.org"],
    ["capacitor://localhost", "api.example.org"],
  ])("P7: origin %s at host %s passes", (origin, host) => {
    expect(check({ ...proven, origin, host })).toBe("passes");
  });

  test.each([
    ["https://evil.example", "api.example.org"],
    ["null", "api.example.org"],
    ["", "api.example.org"],
    ["https://api.example.org.evil.example", "api.example.org"],
    ["https://api.example.org:8443", "api.example.org"],
    ["http://localhost:3000", "localhost:9000"],
    ["https://APP.example.org", "api.example.org"],
    ["ftp://api.example.org", "api.example.org"],
    ["https://api.example.org, https://evil.example", "api.example.org"],
  ])("P7: origin %p at host %s is refused even with the right token", (origin, host) => {
    expect(check({ ...proven, origin, host })).toBe("USER_DISALLOWED");
  });

  test("P7: Sec-Fetch-Site cross-site is refused even with the right token, the other values pass", () => {
    expect(check({ ...proven, "sec-fetch-site": "cross-site" })).toBe("USER_DISALLOWED");
    for (const site of ["same-origin", "same-site", "none"]) {
      expect(check({ ...proven, "sec-fetch-site": site })).toBe("passes");
    }
  });
});
