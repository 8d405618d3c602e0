/** Accept and invite-sender tokens (containers.md 2; decisions P7, W9, W18), on each route that asks for one. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { type KeyObject, randomBytes } from "node:crypto";
import { encodeBase64Url } from "../../src/crypto/base64url.ts";
import { decodeAcceptToken, decodeInviteSenderToken } from "../../src/crypto/containerTokens.ts";
import type { ErrorType } from "../../src/errors.ts";
import { tampered } from "../support/accounts.ts";
import { type Box, Device, signContainerToken } from "../support/client.ts";
import { expectError } from "../support/containerCalls.ts";
import { expectUnchanged } from "../support/containerRows.ts";
import {
  acceptToken,
  type Guest,
  inviteAndUnwrap,
  putAccept,
  putDecline,
  type ReceivedInvitation,
  retract,
  type SentInvitation,
  secsFrom,
  senderToken,
  signUpGuest,
} from "../support/invitations.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

interface Case {
  name: string;
  header: string;
  /** The ids of the token's claims. */
  claims(): Record<string, string>;
  key(): KeyObject;
  call: typeof putDecline;
  /** Clears the stored key, or puts another in its place. */
  store(key: Uint8Array): Promise<unknown>;
}

let server: TestServer;
let ann: Guest;
let ben: Guest;
let box: Box;
let sent: SentInvitation;
let received: ReceivedInvitation;
beforeAll(async () => {
  server = await startTestServer();
  [ann, ben] = [await signUpGuest(server), await signUpGuest(server)];
  box = await ann.createContainer();
});
afterAll(() => server.stop());
beforeEach(async () => {
  ({ sent, received } = await inviteAndUnwrap(server, ann, box, ben));
});

const storeAcceptKey = (key: Uint8Array) =>
  server.db`update container_accept_keys set public_key = ${key} where key_id = ${received.accept_key_id}`;
const accepting = {
  header: "x-container-accept-token",
  claims: () => ({ iid: received.id, kid: received.accept_key_id, cid: box.id }),
  key: () => received.acceptKey,
  store: storeAcceptKey,
};

const CASES: readonly Case[] = [
  { name: "PUT accept", ...accepting, call: (device, token) => putAccept(device, token) },
  { name: "PUT decline", ...accepting, call: putDecline },
  {
    name: "DELETE invitation",
    header: "x-container-invite-sender-token",
    claims: () => ({ iid: sent.id }),
    key: () => sent.senderKey,
    call: retract,
    store: (key) => server.db`update container_share_invites set sender_public_key = ${key} where id = ${sent.id}`,
  },
];

describe.each([...CASES])("$name", ({ header, claims, key, call, store }) => {
  const inAnHour = () => secsFrom(server, 0) + 3600;
  const signed = (text: string) => signContainerToken(key(), text);
  const good = () => signContainerToken(key(), { ...claims(), exp: inAnHour() });
  const refused = (token: string, type: ErrorType) =>
    expectUnchanged(server.db, async () => expectError(await call(ben, token), type));

  /** The guest, sending the token in cookies as a browser does, or in a header too. */
  function withCookies(cookies: readonly string[], more: Record<string, string> = {}): Device {
    const csrf = randomBytes(8).toString("hex");
    const device = new Device(server.client(), ben.accessToken, ben.refreshToken);
    // The call adds the header last, so that what it sends must be taken away again.
    const send = device.client.send;
    const client = Object.assign(server.client(), {
      send: (request: Request) => {
        request.headers.delete(header);
        for (const [name, value] of Object.entries(more)) request.headers.set(name, value);
        const pairs = cookies.map((text) => `${header}=${text}`);
        request.headers.set("cookie", [`x-csrf-token=${csrf}`, ...pairs].join("; "));
        if (!("x-csrf-token" in more)) request.headers.set("x-csrf-token", csrf);
        return send(request);
      },
    });
    return new Device(client, ben.accessToken, ben.refreshToken);
  }

  test("2.2: absent is TOKEN_MISSING, also when another kind's header is there", async () => {
    await expectUnchanged(server.db, async () => {
      expectError(await call(withCookies([]), ""), "TOKEN_MISSING");
      expectError(await call(withCookies([], { "x-container-access-token": good() }), ""), "TOKEN_MISSING");
      expectError(await call(withCookies([], { [header]: "\u00e9" }), ""), "TOKEN_MISSING");
    });
  });

  test("2.2: empty, cut, damaged in its base64, of another kind: INCORRECT_CREDENTIAL", async () => {
    const token = good();
    const others = [box.token(), ann.accessToken, header.includes("accept") ? senderToken(sent) : ""];
    const texts = [
      "",
      "x",
      token.slice(0, 10),
      token.slice(0, -1),
      `${token}=`,
      `${token}AAAA`,
      `${token.slice(0, 8)} ${token.slice(8)}`,
    ];
    for (const text of [...texts, ...others]) await refused(text, "INCORRECT_CREDENTIAL");
    expect((await call(ben, token)).status).toBe(200);
  });

  test("2.2: an accept token decodes in the sender's place, but its signature is not the sender's", async () => {
    if (header === "x-container-invite-sender-token") await refused(acceptToken(received), "INCORRECT_CREDENTIAL");
    else await refused(senderToken(sent, { kid: received.accept_key_id, cid: box.id }), "INCORRECT_CREDENTIAL");
  });

  test("2.1: any order and spacing of claims, unknown members, and every form of a UUID are accepted", async () => {
    const { iid = "", ...others } = claims();
    const members = Object.entries(others).map(([name, id]) => `"${name}":"${id}"`);
    const textWith = (form: string) =>
      [` { "exp" : ${inAnHour()}`, ...members.toReversed(), `"more":[1,{}]`, `"iid":"${form}"} `].join(",");
    const forms = [iid, `urn:uuid:${iid}`, `{${iid}}`, iid.replaceAll("-", ""), iid.toUpperCase()];
    const decode = header.includes("accept") ? decodeAcceptToken : decodeInviteSenderToken;
    for (const form of forms) expect(decode(signed(textWith(form)))?.invitation_id).toBe(iid);
    expect((await call(ben, signed(textWith(iid.toUpperCase())))).status).toBe(200);
  });

  test("2.1, W18: arrays, missing and repeated claims, and times that are no integer are INCORRECT_CREDENTIAL", async () => {
    const ids = claims();
    const body = JSON.stringify(ids).slice(1, -1);
    const exp = inAnHour();
    const times = [`${exp}.0`, "1.8e9", `-${exp}`, `"${exp}"`, "null", "18446744073709551616", "[]"];
    const texts = [
      JSON.stringify([...Object.values(ids), exp]),
      `{${body}}`,
      `{"exp":${exp}}`,
      `{${body},"exp":${exp},"exp":${exp}}`,
      `{${body},"iid":"${ids.iid}","exp":${exp}}`,
      `{${body.replace(`${ids.iid}`, "x")},"exp":${exp}}`,
      ...Object.keys(ids).map((name) => JSON.stringify({ ...ids, [name]: undefined, exp })),
      ...times.map((time) => `{${body},"exp":${time}}`),
    ];
    for (const text of texts) await refused(signed(text), "INCORRECT_CREDENTIAL");
  });

  test("2.1: the largest exp and a token of 8192 characters are accepted, a longer one is not", async () => {
    const text = `{${JSON.stringify(claims()).slice(1, -1)},"exp":18446744073709551615}`;
    const sized = (characters: number) => signed(text.padEnd((characters / 4) * 3 - 64));
    expect(sized(8192)).toHaveLength(8192);
    await refused(sized(8196), "INCORRECT_CREDENTIAL");
    expect((await call(ben, sized(8192))).status).toBe(200);
  });

  test("2.2: it expires on its second; with a bad signature it is INCORRECT_CREDENTIAL all the same", async () => {
    const exp = inAnHour();
    const token = signContainerToken(key(), { ...claims(), exp });
    const past = signContainerToken(key(), { ...claims(), exp: secsFrom(server, 0) });
    await refused(past, "TOKEN_EXPIRED");
    await refused(tampered(past), "INCORRECT_CREDENTIAL");
    await refused(signContainerToken(key(), { ...claims(), exp: 0 }), "TOKEN_EXPIRED");
    expect((await call(ben, token)).status).toBe(200);
  });

  test("2.2, 2.3: a stored key of another length, or of small order, lets nobody in (the reference stored any)", async () => {
    const identity = Buffer.alloc(32);
    identity.writeUInt8(1, 0);
    const forged = encodeBase64Url(
      Buffer.concat([Buffer.from(JSON.stringify({ ...claims(), exp: inAnHour() })), identity, Buffer.alloc(32)]),
    );
    for (const stored of [new Uint8Array(0), randomBytes(22), randomBytes(33), identity]) {
      await store(stored);
      await refused(forged, "INCORRECT_CREDENTIAL");
      await refused(good(), "INCORRECT_CREDENTIAL");
    }
  });

  test("2, P7: a cookie of the same name is read, the header beats it, and of several cookies the first valid one counts", async () => {
    const token = good();
    const unknown = signContainerToken(key(), { ...claims(), iid: crypto.randomUUID(), exp: inAnHour() });
    const expired = signContainerToken(key(), { ...claims(), exp: secsFrom(server, 0) });
    await expectUnchanged(server.db, async () => {
      expectError(await call(withCookies([token], { [header]: "" }), ""), "INCORRECT_CREDENTIAL");
      expectError(await call(withCookies([token], { [header]: expired }), ""), "TOKEN_EXPIRED");
      expectError(await call(withCookies(["x", tampered(token)]), ""), "INCORRECT_CREDENTIAL");
      expectError(await call(withCookies([expired, tampered(token)]), ""), "TOKEN_EXPIRED");
    });
    const answer = await call(withCookies(["x", tampered(token), expired, token, unknown]), "");
    expect({ status: answer.status, error: answer.error }).toEqual({ status: 200, error: undefined });
  });

  test("P7: its cookie alone asks for protection against other sites", async () => {
    const token = good();
    await expectUnchanged(server.db, async () => {
      expectError(await call(withCookies([token], { "x-csrf-token": "another" }), ""), "USER_DISALLOWED");
    });
  });
});

describe("2.4: the vectors", () => {
  const PUBLIC_KEY = Buffer.from("03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8", "hex");
  const idOf = (last: number) => `018f0000-0000-7000-8000-00000000000${last}`;
  const [CONTAINER, INVITATION, ACCEPT_KEY] = [idOf(2), idOf(3), idOf(4)];
  const ACCEPT =
    "eyJpaWQiOiIwMThmMDAwMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDMiLCJraWQiOiIwMThmMDAwMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDQiLCJjaWQiOiIwMThmMDAwMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDIiLCJleHAiOjQxMDI0NDQ4MDB9P8t64MCSWoF9PNrgoh2cBzdETvvMVCbtWNzXd93Wde2xv0ef2nsYxu3OLtg4VBXFTUXksexWRFcI9ntwWXLiDA==";
  const SENDER =
    "eyJpaWQiOiIwMThmMDAwMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDMiLCJleHAiOjQxMDI0NDQ4MDB9n1i_MaKZUVV2nxDHjrSiZbiZEfnHhl8wgb4hKwQ3Bd-2l22-5SDWwHY_jC28JwoZZDH892tMdYOK3fToD9dfCw==";

  /** The latest invitation gets the ids and keys of the vectors. */
  async function useVectorRows(): Promise<void> {
    await server.db`delete from containers where id = ${CONTAINER}`;
    await server.db`
      insert into containers (id, encrypted_blob, version_nonce, modified_timestamp, sequence)
      values (${CONTAINER}, '', 1, '2026-01-01', 1)`;
    await server.db`
      insert into container_heads (container_id, last_sequence, live_entries, live_categories)
      values (${CONTAINER}, 1, 0, 0)`;
    await server.db`
      insert into container_accept_keys (key_id, container_id, public_key, expiration, read_only)
      values (${ACCEPT_KEY}, ${CONTAINER}, ${PUBLIC_KEY}, timezone('utc', now()) + interval '1 hour', true)`;
    await server.db`
      update container_share_invites set id = ${INVITATION}, sender_public_key = ${PUBLIC_KEY} where id = ${sent.id}`;
  }

  test("take apart as the table says", () => {
    const expirationSecs = 4_102_444_800n;
    const claims = { invitation_id: INVITATION, accept_key_id: ACCEPT_KEY, container_id: CONTAINER, expirationSecs };
    expect(decodeAcceptToken(ACCEPT)).toMatchObject(claims);
    expect(decodeAcceptToken(SENDER)).toBeUndefined();
    expect(decodeInviteSenderToken(SENDER)).toMatchObject({ invitation_id: INVITATION, expirationSecs });
    expect(decodeInviteSenderToken(SENDER)?.accept_key_id).toBeUndefined();
    // An accept token has every claim of the other.
    expect(decodeInviteSenderToken(ACCEPT)).toMatchObject({ invitation_id: INVITATION, accept_key_id: ACCEPT_KEY });
  });

  test("pass through the whole server, unless one bit differs", async () => {
    for (const [token, call] of [
      [ACCEPT, putAccept],
      [ACCEPT, putDecline],
      [SENDER, retract],
    ] as const) {
      ({ sent } = await inviteAndUnwrap(server, ann, box, ben));
      await useVectorRows();
      expectError(await call(ben, tampered(token)), "INCORRECT_CREDENTIAL");
      const answer = await call(ben, token);
      expect({ status: answer.status, error: answer.error }).toEqual({ status: 200, error: undefined });
    }
  });
});
