/** The reference's routes, each with the limit class that field clients know. */
import { expect, test } from "bun:test";
import { routes } from "../../src/app.ts";

const CLASSES: [limit: string, routes: string[]][] = [
  ["unlimited", ["GET /api/heartbeat"]],
  [
    "read",
    [
      "GET /api/health",
      "GET /api/client-errors",
      "GET /api/auth/nonce-and-auth-string-params",
      "GET /api/user/public-key",
      "GET /api/user/deletion",
      "GET /api/container",
      "GET /api/container/invitation/all-pending",
    ],
  ],
  ["error-report", ["POST /api/client-errors"]],
  [
    "light-auth",
    [
      "GET /api/auth/csrf-token",
      "GET /api/auth/otp",
      "POST /api/auth/otp/verify",
      "POST /api/auth/otp/resend-signin-otp",
      "POST /api/auth/token/refresh",
      "POST /api/auth/logout",
      "DELETE /api/user",
      "GET /api/user/deletion/verify",
    ],
  ],
  [
    "expensive-auth",
    [
      "POST /api/auth/sign-in",
      "POST /api/auth/recover-with-recovery-key",
      "POST /api/user",
      "PUT /api/user/password",
      "PUT /api/user/recovery-key",
      "PUT /api/user/email", // light-auth there, although it hashes a password
    ],
  ],
  [
    "create",
    [
      "POST /api/container",
      "POST /api/container/bulk-upload",
      "POST /api/container/entry",
      "POST /api/container/entry-and-category",
      "POST /api/container/category",
      "POST /api/container/invitation",
    ],
  ],
  [
    "modify",
    [
      "PUT /api/user/public-key",
      "PUT /api/user/preferences",
      "PUT /api/user/keystore",
      "DELETE /api/user/deletion",
      "PUT /api/container",
      "DELETE /api/container/leave",
      "PUT /api/container/entry",
      "DELETE /api/container/entry",
      "PUT /api/container/category",
      "DELETE /api/container/category",
      "DELETE /api/container/invitation",
      "PUT /api/container/invitation/accept",
      "PUT /api/container/invitation/decline",
    ],
  ],
];

test.each(CLASSES)("platform 2.1: the reference's routes of class %s are here, in that class", (limit, expected) => {
  const found = routes
    .filter(({ spec }) => expected.includes(`${spec.method} ${spec.path}`))
    .map(({ spec }) => `${spec.method} ${spec.path}: ${spec.limit}`);
  expect(found.sort()).toEqual(expected.map((route) => `${route}: ${limit}`).sort());
});
