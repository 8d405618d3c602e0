/** Passkeys for real: a software authenticator makes keys and signs, in both encodings and with cookies. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { parseAssertion, parseRegistration } from "../../src/factor/passkeyResponses.ts";
import { checkAssertion, checkRegistration } from "../../src/factor/passkeys.ts";
import { countByStatus, granted, secondDevice, sessionsOf, signInAgain, userIdOf } from "../support/accounts.ts";
import { type Algorithm, Authenticator, type Oddities } from "../support/authenticator.ts";
import { Browser } from "../support/browser.ts";
import { Device } from "../support/client.ts";
import { ENCODINGS, expectEmptyOk, expectError } from "../support/containerCalls.ts";
import {
  enrolPasskey,
  enrolTotp,
  FACTOR_ENVIRONMENT,
  factorsOf,
  ORIGIN,
  type Owner,
  offerOf,
  passkeyOptions,
  signInQuietly,
  subjectsTo,
  verify,
} from "../support/factors.ts";
import { heldUp } from "../support/races.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const MINUTE_MS = 60_000;

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer(FACTOR_ENVIRONMENT);
});
afterAll(() => server.stop());

/** A sign-in up to the challenge. */
async function askForPasskey(owner: Owner) {
  const token = await signInQuietly(owner);
  const { json } = granted(await passkeyOptions(owner.client, token));
  return { token, json, challenge: (JSON.parse(json) as { challenge: string }).challenge };
}

async function signInWith(owner: Owner, authenticator: Authenticator, odd: Oddities = {}) {
  const { token, json } = await askForPasskey(owner);
  return verify(owner.client, token, { passkey: authenticator.assert(json, odd) });
}

const ALGORITHMS: readonly Algorithm[] = ["ES256", "EdDSA", "RS256"];

describe.each(ENCODINGS.flatMap((encoding) => ALGORITHMS.map((algorithm) => ({ encoding, algorithm }))))(
  "a passkey of $algorithm, in $encoding",
  ({ encoding, algorithm }) => {
    test("the whole way: make, list, sign in without mail, remove", async () => {
      const owner = await server.signUp(undefined, encoding);
      const factors = factorsOf(owner);
      const authenticator = new Authenticator(ORIGIN, algorithm);
      const label = randomBytes(1024);
      const options = granted(await factors.beginPasskey(owner.user.auth_string));
      const added = await factors.addPasskey(authenticator.register(options.json), label);
      expect(added.status).toBe(201);
      expect(granted(added).codes).toHaveLength(10);
      const list = granted(await factors.list());
      expect(list).toEqual({
        factors: [{ id: expect.any(String), kind: "passkey", label_encrypted: new Uint8Array(label) }],
        recovery_codes_left: 10,
      });

      const mails = server.letters.length;
      const token = await signInQuietly(owner);
      expect(granted(await offerOf(owner.client, token))).toMatchObject({ totp: false, passkey: true });
      const { json } = granted(await passkeyOptions(owner.client, token));
      const session = granted(await verify(owner.client, token, { passkey: authenticator.assert(json) }));
      expect(server.letters).toHaveLength(mails);
      expect(session.user_keystore_encrypted).toEqual(new Uint8Array(owner.user.user_keystore_encrypted));
      const second = new Device(owner.client, session.tokens?.access_token ?? "", session.tokens?.refresh_token ?? "");

      expectEmptyOk(await factorsOf(second).remove(list.factors[0]?.id ?? "", owner.user.auth_string));
      expect(granted(await factors.list())).toEqual({ factors: [], recovery_codes_left: 0 });
    });
  },
);

/** What the account's row says, and how many rows there are: the two must never differ. */
async function factorCount({ user }: Owner): Promise<number> {
  const user_id = await userIdOf(server, user);
  const [row] = await server.db`
    select factors, (select count(*)::int from passkeys where user_id = ${user_id})
      + (select count(*)::int from totp_factors where user_id = ${user_id} and confirmation_deadline is null) as rows
    from second_factors where user_id = ${user_id}`;
  expect(row?.factors).toBe(row?.rows);
  return row?.factors;
}

describe("what a browser is asked with", () => {
  test("making one: domain, address, a handle that is not the user id, no attestation, the passkeys there are", async () => {
    const owner = await server.signUp();
    const { authenticator } = await enrolPasskey(owner);
    const { json } = granted(await factorsOf(owner).beginPasskey(owner.user.auth_string));
    const options = JSON.parse(json);
    expect(options).toMatchObject({
      rp: { id: "entries.example.org", name: "Entries App" },
      user: { name: owner.user.email },
      attestation: "none",
      authenticatorSelection: { userVerification: "preferred" },
      excludeCredentials: [{ type: "public-key", id: authenticator.id, transports: ["hybrid", "internal"] }],
    });
    expect(options.pubKeyCredParams.map(({ alg }: { alg: number }) => alg)).toEqual([-8, -7, -257]);
    expect(Buffer.from(options.challenge, "base64url")).toHaveLength(32);

    const handle = Buffer.from(options.user.id, "base64url");
    const user_id = (await userIdOf(server, owner.user)).replaceAll("-", "");
    expect(handle).toHaveLength(32);
    expect(handle.toString("hex")).not.toContain(user_id);
    expect(handle.toString()).not.toContain(user_id);
    const again = JSON.parse(granted(await factorsOf(owner).beginPasskey(owner.user.auth_string)).json);
    expect(again.user.id).toBe(options.user.id);
    expect(again.challenge).not.toBe(options.challenge);
  });

  test("signing in: the account's passkeys; for an account without any the same shape", async () => {
    const ann = await server.signUp();
    const ben = await server.signUp();
    const { authenticator } = await enrolPasskey(ann);
    const shapes: Record<string, unknown>[] = [];
    for (const owner of [ann, ben]) {
      const { json } = await askForPasskey(owner);
      const { challenge, ...rest } = JSON.parse(json);
      expect(Buffer.from(challenge, "base64url")).toHaveLength(32);
      shapes.push(rest);
    }
    const shape = { rpId: "entries.example.org", userVerification: "preferred", timeout: 300_000 };
    expect(shapes).toEqual([
      {
        ...shape,
        allowCredentials: [{ type: "public-key", id: authenticator.id, transports: ["hybrid", "internal"] }],
      },
      { ...shape, allowCredentials: [] },
    ]);
  });
});

describe("making a passkey", () => {
  const begin = async (owner: Owner) => granted(await factorsOf(owner).beginPasskey(owner.user.auth_string)).json;

  test("A16: it needs the password", async () => {
    const owner = await server.signUp();
    expectError(await factorsOf(owner).beginPasskey(randomBytes(32)), "INCORRECT_CREDENTIAL");
    expect(
      await server.db`select from passkey_challenges where user_id = ${await userIdOf(server, owner.user)}`,
    ).toHaveLength(0);
  });

  test.each<[string, Oddities]>([
    ["another site", { origin: "https://entries.example.com" }],
    ["http instead of https", { origin: "http://entries.example.org" }],
    ["a subdomain that is not allowed", { origin: "https://x.entries.example.org" }],
    ["the path of the public URL", { origin: `${ORIGIN}/app` }],
    ["another RP ID", { rpId: "example.org" }],
    ["an answer to a sign-in", { type: "webauthn.get" }],
    ["another challenge", { challenge: randomBytes(32).toString("base64url") }],
    ["nobody present", { flags: 0x04 }],
  ])("refused is one of %s, and its challenge is used up", async (_what, odd) => {
    const owner = await server.signUp();
    const json = await begin(owner);
    const authenticator = new Authenticator(ORIGIN);
    expectError(await factorsOf(owner).addPasskey(authenticator.register(json, odd)), "INCORRECTLY_FORMED");
    expectError(await factorsOf(owner).addPasskey(authenticator.register(json)), "INVALID_STATE");
    expect(granted(await factorsOf(owner).list()).factors).toEqual([]);
  });

  test.each(["https://web.entries.example.org", "android:apk-key-hash:7d1043473d55bfa90e8530d35801d4e381bc69f0"])(
    "the operator allows further origins: %s",
    async (origin) => {
      const owner = await server.signUp();
      const { authenticator } = await enrolPasskey(owner, new Authenticator(origin));
      expect((await signInWith(owner, authenticator)).status).toBe(200);
    },
  );

  test("an operator reads in the log which origin is not allowed", async () => {
    const owner = await server.signUp();
    const origin = "https://forgotten.example.org";
    await factorsOf(owner).addPasskey(new Authenticator(ORIGIN).register(await begin(owner), { origin }));
    server.services.log.flush();
    const line = server.logLines
      .join("")
      .split("\n")
      .find((text) => text.includes(origin));
    expect(JSON.parse(line ?? "{}")).toMatchObject({ level: "warn", origin });
  });

  test("an answer with another id than the authenticator gave is refused", async () => {
    const owner = await server.signUp();
    const parts = JSON.parse(new Authenticator(ORIGIN).register(await begin(owner)));
    const id = randomBytes(32).toString("base64url");
    expectError(await factorsOf(owner).addPasskey(JSON.stringify({ ...parts, id, rawId: id })), "INCORRECTLY_FORMED");
  });

  test("a public key that is none is refused: it could never sign in", async () => {
    const owner = await server.signUp();
    const authenticator = new Authenticator(ORIGIN);
    const offTheCurve = { publicKeyPart: randomBytes(32) };
    const answer = await factorsOf(owner).addPasskey(authenticator.register(await begin(owner), offTheCurve));
    expectError(answer, "INCORRECTLY_FORMED");
  });

  test("it need not verify its user: the password was the first factor", async () => {
    const owner = await server.signUp();
    const authenticator = new Authenticator(ORIGIN);
    const json = await begin(owner);
    expect((await factorsOf(owner).addPasskey(authenticator.register(json, { flags: 0x01 }))).status).toBe(201);
    expect((await signInWith(owner, authenticator, { flags: 0x01 })).status).toBe(200);
    expectError(await signInWith(owner, authenticator, { flags: 0x04 }), "INCORRECT_CREDENTIAL");
  });

  test("an attestation statement that comes along is not looked at, nor what its certificates name", async () => {
    const owner = await server.signUp();
    const attestation = {
      fmt: "packed",
      attStmt: new Map<string, number | Uint8Array>([
        ["alg", -7],
        ["sig", randomBytes(70)],
      ]),
    };
    const authenticator = new Authenticator(ORIGIN);
    const answer = authenticator.register(await begin(owner), { attestation });
    expect((await factorsOf(owner).addPasskey(answer)).status).toBe(201);
    expect((await signInWith(owner, authenticator)).status).toBe(200);
  });

  test("its challenge works once, for five minutes, and only in the session whose user gave the password", async () => {
    const owner = await server.signUp();
    const other = await secondDevice(server, owner);
    const make = (json: string) => new Authenticator(ORIGIN).register(json);
    const json = await begin(owner);
    expectError(await factorsOf(other).addPasskey(make(json)), "INVALID_STATE");
    const answers = await Promise.all(Array.from({ length: 5 }, () => factorsOf(owner).addPasskey(make(json))));
    expect(countByStatus(answers)).toEqual({ "201": 1, "400 INVALID_STATE": 4 });

    const early = await begin(owner);
    server.clock.aheadMs += 5 * MINUTE_MS - 5_000;
    expect((await factorsOf(owner).addPasskey(make(early))).status).toBe(201);
    const late = await begin(owner);
    server.clock.aheadMs += 5 * MINUTE_MS;
    expectError(await factorsOf(owner).addPasskey(make(late)), "INVALID_STATE");
  });

  test("the challenge of a sign-in makes no passkey, that of an enrolment signs nobody in", async () => {
    const owner = await server.signUp();
    const { authenticator } = await enrolPasskey(owner);
    const { token, json: signInJson } = await askForPasskey(owner);
    const enrolJson = await begin(owner);
    const registration = new Authenticator(ORIGIN).register(signInJson, { rpId: "entries.example.org" });
    expectError(await factorsOf(owner).addPasskey(registration), "INCORRECTLY_FORMED");
    const assertion = authenticator.assert(enrolJson, { rpId: "entries.example.org" });
    expectError(await verify(owner.client, token, { passkey: assertion }), "INCORRECT_CREDENTIAL");
  });

  test("one passkey belongs to one account, once", async () => {
    const ann = await server.signUp();
    const ben = await server.signUp();
    const { authenticator } = await enrolPasskey(ann);
    for (const owner of [ann, ben]) {
      const answer = await factorsOf(owner).addPasskey(authenticator.register(await begin(owner)));
      expectError(answer, "CONFLICT_WITH_EXISTING");
    }
    expect(granted(await factorsOf(ben).list())).toEqual({ factors: [], recovery_codes_left: 0 });
    expect((await signInWith(ann, authenticator)).status).toBe(200);
  });

  test("twenty factors are enough, also for passkeys that are added at once", async () => {
    const owner = await server.signUp();
    const devices: Device[] = [owner];
    while (devices.length < 5) devices.push(await secondDevice(server, owner));
    await enrolPasskey(owner);
    const user_id = await userIdOf(server, owner.user);
    await server.db`
      insert into passkeys (id, user_id, credential_id, public_key, sign_count, transports)
      select gen_random_uuid(), user_id, uuid_send(gen_random_uuid()), public_key, 0, transports
      from passkeys, generate_series(1, 17) where user_id = ${user_id}`;
    await server.db`update second_factors set factors = 18 where user_id = ${user_id}`;

    const challenges = await Promise.all(
      devices.map(async (device) => granted(await factorsOf(device).beginPasskey(owner.user.auth_string)).json),
    );
    const answers = await heldUp(
      server.db,
      (transaction) => transaction`select from second_factors where user_id = ${user_id} for update`,
      devices.map(
        (device, index) => () =>
          factorsOf(device).addPasskey(new Authenticator(ORIGIN).register(challenges[index] ?? "")),
      ),
    );
    expect(countByStatus(answers)).toEqual({ "201": 2, "418 TOO_MANY_REQUESTED": 3 });
    expect(granted(await factorsOf(owner).list()).factors).toHaveLength(20);
    expectError(await factorsOf(owner).beginPasskey(owner.user.auth_string), "TOO_MANY_REQUESTED");
  });

  test("the first factors of an account, added at once: one of them brings the ten codes", async () => {
    const owner = await server.signUp();
    const other = Object.assign(await secondDevice(server, owner), { user: owner.user });
    const results = await Promise.all([enrolPasskey(owner), enrolPasskey(other), enrolTotp(server, owner)]);
    expect(await factorCount(owner)).toBe(3);
    expect(results.map(({ codes }) => codes.length).sort()).toEqual([0, 0, 10]);
    expect(granted(await factorsOf(owner).list()).recovery_codes_left).toBe(10);
    const codes = results.flatMap((result) => result.codes);
    expect((await verify(owner.client, await signInQuietly(owner), { recovery_code: codes[9] ?? "" })).status).toBe(
      200,
    );
  });

  test("W8: a label of 1025 bytes is 413; what is no WebAuthn answer is told so and takes no challenge", async () => {
    const owner = await server.signUp();
    const factors = factorsOf(owner);
    const json = await begin(owner);
    const good = new Authenticator(ORIGIN).register(json);
    const parts = JSON.parse(good);
    expectError(await factors.addPasskey(good, randomBytes(1025)), "INPUT_TOO_LARGE");
    expectError(await factors.addPasskey(`${good}${" ".repeat(16_384)}`), "INPUT_TOO_LARGE");
    const texts = [
      "",
      "null",
      "[]",
      "{",
      "7",
      JSON.stringify({ ...parts, id: 7 }),
      JSON.stringify({ ...parts, id: "" }),
      JSON.stringify({ ...parts, id: "a b" }),
      JSON.stringify({ ...parts, type: "password" }),
      JSON.stringify({ ...parts, response: {} }),
      JSON.stringify({ ...parts, response: { ...parts.response, attestationObject: "=" } }),
      JSON.stringify({ ...parts, response: { ...parts.response, transports: "usb" } }),
      JSON.stringify({ ...parts, id: "A".repeat(1368) }),
    ];
    for (const text of texts) {
      const answer = await factors.addPasskey(text);
      expectError(answer, "INCORRECTLY_FORMED");
      expect(answer.error?.err_message).toContain("RegistrationResponseJSON");
    }
    expect((await factors.addPasskey(good)).status).toBe(201);
  });

  test("CBOR that is damaged, at any byte, or claims to be huge is refused and breaks nothing", async () => {
    const challenge = randomBytes(32);
    const options = JSON.stringify({ challenge: challenge.toString("base64url"), rp: { id: "entries.example.org" } });
    const good = parseRegistration(new Authenticator(ORIGIN).register(options));
    const check = (attestationObject: Uint8Array) => {
      const response = { ...good.response, attestationObject: Buffer.from(attestationObject).toString("base64url") };
      return checkRegistration(server.services, { ...good, response }, challenge);
    };
    const attestation = Buffer.from(good.response.attestationObject, "base64url");
    expect(await check(attestation)).toBeDefined();

    const cut = Array.from({ length: attestation.length }, (_, length) => attestation.subarray(0, length));
    const huge = ["9bffffffffffffffff", "bbffffffffffffffff", "5bffffffffffffffff"].map((hex) =>
      Buffer.from(hex, "hex"),
    );
    for (const bytes of [...cut, ...huge, Buffer.alloc(12_000, 0x81), Buffer.alloc(12_000, 0xa1)]) {
      expect(await check(bytes)).toBeUndefined();
    }
    for (let at = 0; at < attestation.length; at++) {
      const bytes = Buffer.from(attestation);
      bytes[at] = (bytes[at] ?? 0) ^ 0xff;
      // Another counter is as good as any, since nothing vouches for it; another id is not the one said.
      const credential_id = (await check(bytes))?.credential_id;
      if (credential_id) expect(Buffer.from(credential_id).toString("base64url")).toBe(good.id);
    }
  });
});

describe("signing in with a passkey", () => {
  test.each<[string, Oddities]>([
    ["another site", { origin: "https://entries.example.com" }],
    ["another RP ID", { rpId: "entries.example.com" }],
    ["a registration", { type: "webauthn.create" }],
    ["another challenge", { challenge: randomBytes(32).toString("base64url") }],
    ["nobody present", { flags: 0x04 }],
  ])("refused is the answer of %s, and its challenge is used up", async (_what, odd) => {
    const owner = await server.signUp();
    const { authenticator } = await enrolPasskey(owner);
    const { token, json } = await askForPasskey(owner);
    expectError(
      await verify(owner.client, token, { passkey: authenticator.assert(json, odd) }),
      "INCORRECT_CREDENTIAL",
    );
    expectError(await verify(owner.client, token, { passkey: authenticator.assert(json) }), "INCORRECT_CREDENTIAL");
    const { json: fresh } = granted(await passkeyOptions(owner.client, token));
    expect((await verify(owner.client, token, { passkey: authenticator.assert(fresh) })).status).toBe(200);
  });

  test("an answer whose signature was changed is refused", async () => {
    const owner = await server.signUp();
    const { authenticator } = await enrolPasskey(owner);
    const { token, json } = await askForPasskey(owner);
    const parts = JSON.parse(authenticator.assert(json));
    const other = JSON.parse(authenticator.assert(json, { challenge: "" }));
    parts.response.signature = other.response.signature;
    expectError(await verify(owner.client, token, { passkey: JSON.stringify(parts) }), "INCORRECT_CREDENTIAL");
  });

  test("an answer that is damaged, at any bit of what is signed or of the signature, is refused", async () => {
    const challenge = randomBytes(32);
    const text = challenge.toString("base64url");
    const authenticator = new Authenticator(ORIGIN);
    const made = parseRegistration(
      authenticator.register(JSON.stringify({ challenge: text, rp: { id: "entries.example.org" } })),
    );
    const passkey = await checkRegistration(server.services, made, challenge);
    if (!passkey) throw new Error("the passkey was not accepted");
    const good = parseAssertion(authenticator.assert(JSON.stringify({ challenge: text, rpId: "entries.example.org" })));
    expect(await checkAssertion(server.services, good, passkey, challenge)).toBe(1n);
    for (const part of ["authenticatorData", "signature", "clientDataJSON"] as const) {
      const bytes = Buffer.from(good.response[part], "base64url");
      // The outermost bytes of a signature are its frame; what is in it still is the same signature.
      const start = part === "signature" ? 16 : 0;
      for (let bit = start; bit < bytes.length * 8; bit += 5) {
        const damaged = Buffer.from(bytes);
        damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        const response = { ...good.response, [part]: damaged.toString("base64url") };
        expect(await checkAssertion(server.services, { ...good, response }, passkey, challenge)).toBeUndefined();
      }
    }
  });

  test("an answer works once: not again with its token, not with another one", async () => {
    const owner = await server.signUp();
    const { authenticator } = await enrolPasskey(owner);
    const { token, json } = await askForPasskey(owner);
    const passkey = authenticator.assert(json);
    expect((await verify(owner.client, token, { passkey })).status).toBe(200);
    expectError(await verify(owner.client, token, { passkey }), "INCORRECT_CREDENTIAL");
    const next = await askForPasskey(owner);
    expectError(await verify(owner.client, next.token, { passkey }), "INCORRECT_CREDENTIAL");
  });

  test("of several requests at once with one answer exactly one passes", async () => {
    const owner = await server.signUp();
    const { authenticator } = await enrolPasskey(owner);
    const { token, json } = await askForPasskey(owner);
    const passkey = authenticator.assert(json);
    const answers = await Promise.all(Array.from({ length: 6 }, () => verify(owner.client, token, { passkey })));
    expect(countByStatus(answers)).toEqual({ "200": 1, "401 INCORRECT_CREDENTIAL": 5 });
    expect(await sessionsOf(server, owner.user)).toHaveLength(2);
  });

  test("a challenge belongs to the sign-in that asked for it; another one's goes on", async () => {
    const owner = await server.signUp();
    const { authenticator } = await enrolPasskey(owner);
    const first = await askForPasskey(owner);
    const second = await askForPasskey(owner);
    expectError(
      await verify(owner.client, second.token, { passkey: authenticator.assert(first.json) }),
      "INCORRECT_CREDENTIAL",
    );
    expect((await verify(owner.client, first.token, { passkey: authenticator.assert(first.json) })).status).toBe(200);
  });

  test("a challenge lives five minutes; asking again replaces it; without asking there is none", async () => {
    const owner = await server.signUp();
    const { authenticator } = await enrolPasskey(owner);
    const late = await askForPasskey(owner);
    server.clock.aheadMs += 5 * MINUTE_MS;
    expectError(
      await verify(owner.client, late.token, { passkey: authenticator.assert(late.json) }),
      "INCORRECT_CREDENTIAL",
    );

    const { token, json } = await askForPasskey(owner);
    const { json: newer } = granted(await passkeyOptions(owner.client, token));
    expectError(await verify(owner.client, token, { passkey: authenticator.assert(json) }), "INCORRECT_CREDENTIAL");
    expectError(await verify(owner.client, token, { passkey: authenticator.assert(newer) }), "INCORRECT_CREDENTIAL");
    const { json: newest } = granted(await passkeyOptions(owner.client, token));
    expect((await verify(owner.client, token, { passkey: authenticator.assert(newest) })).status).toBe(200);
  });

  test("a counter that stands still or goes back is refused, one at zero never counts", async () => {
    const owner = await server.signUp();
    const { authenticator } = await enrolPasskey(owner);
    expect((await signInWith(owner, authenticator, { signCount: 7 })).status).toBe(200);
    for (const signCount of [7, 6, 0]) {
      expectError(await signInWith(owner, authenticator, { signCount }), "INCORRECT_CREDENTIAL");
    }
    expect((await signInWith(owner, authenticator, { signCount: 8 })).status).toBe(200);

    const other = await server.signUp();
    const { authenticator: uncounted } = await enrolPasskey(other, new Authenticator(ORIGIN, "ES256", false));
    for (let times = 0; times < 3; times++) expect((await signInWith(other, uncounted)).status).toBe(200);
  });

  test("of two sign-ins at once with one counter, as of a copied authenticator, one passes", async () => {
    const owner = await server.signUp();
    const { authenticator } = await enrolPasskey(owner);
    const [first, second] = [await askForPasskey(owner), await askForPasskey(owner)];
    const user_id = await userIdOf(server, owner.user);
    const answers = await heldUp(
      server.db,
      (transaction) => transaction`select from passkeys where user_id = ${user_id} for update`,
      [first, second].map(
        ({ token, json }) =>
          () =>
            verify(owner.client, token, { passkey: authenticator.assert(json, { signCount: 5 }) }),
      ),
    );
    expect(countByStatus(answers)).toEqual({ "200": 1, "401 INCORRECT_CREDENTIAL": 1 });
  });

  test("another user's passkey, an unknown one and a removed one are refused", async () => {
    const ann = await server.signUp();
    const ben = await server.signUp();
    const { authenticator: annsKey } = await enrolPasskey(ann);
    const { authenticator: bensKey } = await enrolPasskey(ben);
    expectError(await signInWith(ann, bensKey), "INCORRECT_CREDENTIAL");
    expectError(await signInWith(ann, new Authenticator(ORIGIN)), "INCORRECT_CREDENTIAL");

    const pretending = new Authenticator(ORIGIN);
    Object.assign(pretending, { credentialId: annsKey.credentialId });
    expectError(await signInWith(ann, pretending), "INCORRECT_CREDENTIAL");

    const [factor] = granted(await factorsOf(ben).list()).factors;
    expectEmptyOk(await factorsOf(ben).remove(factor?.id ?? "", ben.user.auth_string));
    expectError(await signInWith(ben, bensKey), "INCORRECT_CREDENTIAL");
    expect((await signInWith(ann, annsKey)).status).toBe(200);
  });

  test("what is no WebAuthn answer is INCORRECTLY_FORMED, uses no challenge and is not counted", async () => {
    const owner = await server.signUp();
    const { authenticator } = await enrolPasskey(owner);
    const { token, json } = await askForPasskey(owner);
    const good = authenticator.assert(json);
    for (const passkey of ["", "null", "{}", good.slice(1), good.replace('"signature":"', '"signature":"é')]) {
      for (let times = 0; times < 3; times++) {
        const answer = await verify(owner.client, token, { passkey });
        expectError(answer, "INCORRECTLY_FORMED");
        expect(answer.error?.err_message).toContain("AuthenticationResponseJSON");
      }
    }
    expectError(await verify(owner.client, token, { passkey: good.padEnd(16_385) }), "INPUT_TOO_LARGE");
    expect((await verify(owner.client, token, { passkey: good })).status).toBe(200);
  });

  test("a used sign-in token, and one of an account that is gone, get no challenge", async () => {
    const owner = await server.signUp();
    const { signinToken: unused } = await signInAgain(server, owner.user);
    const { signinToken, otp } = await signInAgain(server, owner.user);
    expect((await owner.client.verifyOtp(signinToken, otp)).status).toBe(200);
    expectError(await passkeyOptions(owner.client, signinToken), "TOKEN_EXPIRED");
    await server.db`delete from users where email = ${owner.user.email}`;
    expectError(await passkeyOptions(owner.client, unused), "TOKEN_EXPIRED");
  });
});

describe.each([...ENCODINGS])("a browser with cookies, in %s", (encoding) => {
  test("3.1: sees no token: it signs in with a passkey, and makes one", async () => {
    const owner = await server.signUp(undefined, encoding);
    const { authenticator } = await enrolPasskey(owner);
    const browser = new Browser((request) => server.app.handle(request), encoding);
    const { client } = browser;
    await browser.fetchCsrfToken();
    const { nonce } = granted(await client.nonce(owner.user.email));
    const { email, auth_string } = owner.user;
    const mails = server.letters.length;
    expectEmptyOk(await client.signInWith({ email, auth_string, nonce, without_otp_mail: true }));
    expect(server.letters).toHaveLength(mails);

    const { json } = granted(await passkeyOptions(client, "", {}));
    const session = granted(await verify(client, "", { passkey: authenticator.assert(json) }, {}));
    expect(session.tokens).toBeUndefined();
    expect(session.user_keystore_encrypted).toEqual(new Uint8Array(owner.user.user_keystore_encrypted));
    expect(browser.cookies.map(({ name }) => name).sort()).toEqual([
      "x-access-token",
      "x-csrf-token",
      "x-refresh-token",
    ]);

    const factors = factorsOf(new Device(client, "", ""), {} as never);
    const options = granted(await factors.beginPasskey(auth_string)).json;
    expect((await factors.addPasskey(new Authenticator(ORIGIN).register(options))).status).toBe(201);
    expect(granted(await factors.list()).factors).toHaveLength(2);
    expectEmptyOk(await client.call("POST", "/api/auth/token/refresh"));
    expect(subjectsTo(server, email).slice(-2)).toEqual([
      "A second factor was added to your account",
      "A second factor was added to your account",
    ]);
  });
});
