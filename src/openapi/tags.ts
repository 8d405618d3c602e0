/** The groups in which routes are shown: of all beginnings that fit a route, the longest names its group. */

/** In the order of the description. */
const TAGS: Readonly<Record<string, { about: string; routes: readonly string[] }>> = {
  "Sign-in": { about: "Nonce, password, passcode, tokens.", routes: ["/api/auth"] },
  "Second factors": {
    about: "Authenticator apps, passkeys and recovery codes, in place of the mailed passcode.",
    routes: ["/api/user/second-factor", "/api/auth/otp/second-factors", "/api/auth/otp/passkey-options"],
  },
  Sessions: { about: "The caller's devices.", routes: ["/api/auth/session"] },
  Recovery: { about: "Back to an account with its recovery key.", routes: ["/api/auth/recover"] },
  Account: {
    about: "Sign-up, public key, preferences, keystore, password and keys, address.",
    routes: ["/api/user", "/account/email"],
  },
  Deletion: {
    about: "The end of an account, confirmed by mail.",
    routes: ["DELETE /api/user", "/api/user/deletion", "/account/deletion"],
  },
  Containers: { about: "Budgets, as encrypted blobs, and the keys that open them.", routes: ["/api/container"] },
  Entries: { about: "What a container holds.", routes: ["/api/container/entry"] },
  Categories: { about: "What entries are sorted by.", routes: ["/api/container/category"] },
  Invitations: { about: "Sharing a container.", routes: ["/api/container/invitation"] },
  Synchronisation: {
    about: "What changed since, and what changes now.",
    routes: ["/api/container/changes", "/api/container/events"],
  },
  Server: { about: "The server itself, for operators and for people.", routes: ["/"] },
};

export const tagList = Object.entries(TAGS).map(([name, { about }]) => ({ name, description: about }));

/** The name of a route's group. */
export function tagOf(method: string, path: string): string {
  let best = { name: "", length: 0 };
  for (const [name, { routes }] of Object.entries(TAGS)) {
    for (const beginning of routes) {
      // One with a method is for exactly that route.
      const fits = beginning.startsWith("/") ? path.startsWith(beginning) : `${method} ${path}` === beginning;
      if (fits && beginning.length > best.length) best = { name, length: beginning.length };
    }
  }
  return best.name;
}
