/**
 * For every route of the server a request that its tokens and its body decoder accept, and ways to spoil it. New routes
 * are covered by themselves: their body is a full value of their message, their tokens come from `TOKENS`.
 */
import { randomBytes } from "node:crypto";
import type { TokenType } from "../../src/crypto/userTokens.ts";
import type { TokenNeeds } from "../../src/http/access.ts";
import type { Endpoint } from "../../src/http/endpoint.ts";
import { ServerErrorResponse } from "../../src/wire/common.ts";
import type { Message } from "../../src/wire/message.ts";
import { type Encoding, MEDIA_TYPES } from "../../src/wire/negotiation.ts";
import { fullValueOf } from "../wire/samples.ts";
import { type Box, type Device, newUser } from "./client.ts";
import {
  acceptToken,
  inviteAndUnwrap,
  newInvitation,
  type ReceivedInvitation,
  type SentInvitation,
  senderToken,
  signUpGuest,
} from "./invitations.ts";
import { rekeyOf } from "./memberCalls.ts";
import type { TestServer } from "./server.ts";
import { newUpload } from "./uploadCalls.ts";

/** What requests can refer to. */
export interface Stage {
  server: TestServer;
  device: Device & { user: ReturnType<typeof newUser> };
  user_id: string;
  box: Box;
  /** Another container, for routes that end one. */
  spare: Box;
  entry_id: string;
  category_id: string;
  /** An invitation of another account to the box. */
  sent: SentInvitation;
  received: ReceivedInvitation;
}

export async function setStage(server: TestServer): Promise<Stage> {
  const device = await server.signUp();
  const [box, spare] = [await device.createContainer(), await device.createContainer()];
  const [row] = await server.db<{ id: string }[]>`select id from users limit 1`;
  // It can be done once, so every further one is refused the same way.
  await server.db`update user_flags set has_performed_bulk_upload = true`;
  const category_id = await device.createCategory(box);
  const entry_id = await device.createEntry(box, { category_id });
  const invitation = await inviteAndUnwrap(server, device, box, await signUpGuest(server));
  return { server, device, user_id: row?.id ?? "", box, spare, entry_id, category_id, ...invitation };
}

/** A token that may be missing is nothing that a route asks for. */
type TokenKind = Exclude<keyof TokenNeeds, "userIfSent">;

interface TokenCase {
  header: string;
  /** A good one, fresh. */
  good(stage: Stage): string;
  expired(stage: Stage): string;
  /** Good tokens of other kinds, and what each is answered in this place. */
  foreign(stage: Stage): readonly (readonly [kind: string, token: string, type: string])[];
}

const nowSecs = ({ server }: Stage) => Math.floor(server.services.now() / 1000);

/** A token that the server issued to the stage's user, outside any session. */
function issue(stage: Stage, type: TokenType, expirationSecs: number): string {
  return stage.server.services.tokens.issue({ type, user_id: stage.user_id, expirationSecs }).text;
}

function userToken(header: string, type: "Access" | "SignIn" | "Refresh"): TokenCase {
  const others = (["Access", "SignIn", "Refresh", "UserDeletion"] as const).filter((other) => other !== type);
  return {
    header,
    good: (stage) => issue(stage, type, nowSecs(stage) + 600),
    expired: (stage) => issue(stage, type, nowSecs(stage)),
    foreign: (stage) => [
      ...others.map((other) => [other, issue(stage, other, nowSecs(stage) + 600), "WRONG_TOKEN_TYPE"] as const),
      ["container", stage.box.token(), "INCORRECT_CREDENTIAL"],
    ],
  };
}

/** The access token that writing routes need is the same as the one for reading. */
export const TOKENS: Record<TokenKind, TokenCase> = {
  user: userToken("x-access-token", "Access"),
  signIn: userToken("x-signin-token", "SignIn"),
  refresh: userToken("x-refresh-token", "Refresh"),
  container: {
    header: "x-container-access-token",
    good: ({ box }) => box.token(),
    expired: (stage) => stage.box.freshToken(nowSecs(stage)),
    foreign: (stage) => [["Access", TOKENS.user.good(stage), "INCORRECT_CREDENTIAL"]],
  },
  accept: {
    header: "x-container-accept-token",
    good: ({ received }) => acceptToken(received),
    expired: (stage) => acceptToken(stage.received, { exp: nowSecs(stage) }),
    foreign: (stage) => [
      ["Access", TOKENS.user.good(stage), "INCORRECT_CREDENTIAL"],
      ["container", stage.box.token(), "INCORRECT_CREDENTIAL"],
      ["invite sender", senderToken(stage.sent), "INCORRECT_CREDENTIAL"],
    ],
  },
  inviteSender: {
    header: "x-container-invite-sender-token",
    good: ({ sent }) => senderToken(sent),
    expired: (stage) => senderToken(stage.sent, { exp: nowSecs(stage) }),
    foreign: (stage) => [
      ["Access", TOKENS.user.good(stage), "INCORRECT_CREDENTIAL"],
      ["container", stage.box.token(), "INCORRECT_CREDENTIAL"],
      ["accept", acceptToken(stage.received), "INCORRECT_CREDENTIAL"],
    ],
  },
};

/** Tokens that a route looks for in its handler. */
const TOKENS_OF_HANDLERS: Record<string, readonly TokenKind[]> = { "GET /api/container": ["container"] };

export const nameOf = ({ spec }: Endpoint): string => `${spec.method} ${spec.path}`;

export function tokensOf(route: Endpoint): TokenKind[] {
  const { userIfSent, ...needed } = route.spec.tokens;
  return [...(Object.keys(needed) as TokenKind[]), ...(TOKENS_OF_HANDLERS[nameOf(route)] ?? [])];
}

const BLOB = () => randomBytes(20);
const SALT = () => randomBytes(16);
/** Nobody's: a change that was made would sign out the stage's device. */
const WRONG_OTP = "not any";
const RECOVERY_HASH = () => ({
  recovery_key_hash_salt_for_encryption: SALT(),
  recovery_key_hash_salt_for_recovery_auth: SALT(),
  recovery_key_hash_mem_cost_kib: 65_536,
  recovery_key_hash_threads: 2,
  recovery_key_hash_iterations: 10,
  recovery_key_auth_hash: BLOB(),
});

/** Bodies that do what the route is for; every other message is taken with any values. */
const BODIES: Record<string, (stage: Stage) => Record<string, unknown> | Promise<Record<string, unknown>>> = {
  "POST /api/user": () => ({ ...newUser() }),
  "POST /api/auth/sign-in": async ({ server, device: { user } }) => ({
    email: user.email,
    auth_string: user.auth_string,
    nonce: (await server.client().nonce(user.email)).value?.nonce ?? 0,
    without_otp_mail: false,
  }),
  "PUT /api/user/public-key": ({ device: { user } }) => ({
    id: user.public_key_id,
    value: user.public_key,
    expected_previous_public_key_id: user.public_key_id,
  }),
  "PUT /api/user/preferences": ({ device: { user } }) => ({
    encrypted_blob: BLOB(),
    version_nonce: user.preferences_version_nonce,
    expected_previous_version_nonce: user.preferences_version_nonce,
  }),
  "PUT /api/user/keystore": ({ device: { user } }) => ({
    encrypted_blob: BLOB(),
    version_nonce: user.user_keystore_version_nonce,
    expected_previous_version_nonce: user.user_keystore_version_nonce,
  }),
  "PUT /api/user/email": ({ device: { user } }) => ({ new_email: newUser().email, auth_string: user.auth_string }),
  "PUT /api/user/password": ({ device: { user } }) => ({
    ...user,
    user_email: user.email,
    otp: WRONG_OTP,
    new_auth_string: BLOB(),
    encrypted_encryption_key: BLOB(),
  }),
  "PUT /api/user/recovery-key": () => ({ ...RECOVERY_HASH(), otp: WRONG_OTP, encrypted_encryption_key: BLOB() }),
  "PUT /api/user/account-key": () => ({
    ...RECOVERY_HASH(),
    otp: WRONG_OTP,
    encryption_key_encrypted_with_password: BLOB(),
    password_encryption_key_salt: SALT(),
    password_encryption_key_mem_cost_kib: 65_536,
    password_encryption_key_threads: 2,
    password_encryption_key_iterations: 10,
    encryption_key_encrypted_with_recovery_key: BLOB(),
    preferences: { encrypted_blob: BLOB(), version_nonce: 1n, expected_previous_version_nonce: 1n },
    keystore: { encrypted_blob: BLOB(), version_nonce: 1n, expected_previous_version_nonce: 1n },
  }),
  "POST /api/auth/recovery/begin": ({ device: { user } }) => ({
    email: user.email,
    recovery_key_hash_for_recovery_auth: user.recovery_key_auth_hash,
  }),
  "POST /api/auth/recover-with-recovery-key": () => ({
    recovery_key_hash_for_recovery_auth: BLOB(),
    user_email: "nobody@example.com",
    new_auth_string: BLOB(),
    new_auth_string_hash_salt: SALT(),
    new_auth_string_hash_mem_cost_kib: 65_536,
    new_auth_string_hash_threads: 2,
    new_auth_string_hash_iterations: 10,
    new_recovery_key_hash_salt_for_encryption: SALT(),
    new_recovery_key_hash_salt_for_recovery_auth: SALT(),
    new_recovery_key_hash_mem_cost_kib: 65_536,
    new_recovery_key_hash_threads: 2,
    new_recovery_key_hash_iterations: 10,
    new_recovery_key_auth_hash: BLOB(),
    encryption_key_encrypted_with_new_password: BLOB(),
    encryption_key_encrypted_with_new_recovery_key: BLOB(),
    new_password_encryption_key_salt: SALT(),
    new_password_encryption_key_mem_cost_kib: 65_536,
    new_password_encryption_key_threads: 2,
    new_password_encryption_key_iterations: 10,
  }),
  "POST /api/auth/otp/verify": () => ({ value: WRONG_OTP }),
  "POST /api/user/second-factor/totp": ({ device: { user } }) => ({ auth_string: user.auth_string }),
  "POST /api/user/second-factor/passkey": ({ device: { user } }) => ({ auth_string: user.auth_string }),
  "POST /api/user/second-factor/recovery-codes": ({ device: { user } }) => ({ auth_string: user.auth_string }),
  "DELETE /api/user/second-factor": ({ device: { user } }) => ({
    id: crypto.randomUUID(),
    auth_string: user.auth_string,
  }),
  "DELETE /api/user": ({ box }) => ({ tokens: [box.token()] }),
  "POST /api/container/query": ({ box }) => ({ tokens: [box.token()] }),
  "POST /api/container/changes": ({ box }) => ({ containers: [{ token: box.token(), since: 0n }], max_bytes: 1000 }),
  "POST /api/container": ({ device }) => ({ ...device.newContainer().container }),
  "PUT /api/container": () => ({ encrypted_blob: BLOB(), version_nonce: 1n, expected_previous_version_nonce: 1n }),
  "POST /api/container/entry": ({ category_id }) => ({ encrypted_blob: BLOB(), version_nonce: 1n, category_id }),
  "PUT /api/container/entry": ({ entry_id, category_id }) => ({
    entry_id,
    encrypted_blob: BLOB(),
    version_nonce: 1n,
    expected_previous_version_nonce: 1n,
    category_id,
  }),
  "PUT /api/container/category": ({ category_id }) => ({
    category_id,
    encrypted_blob: BLOB(),
    version_nonce: 1n,
    expected_previous_version_nonce: 1n,
  }),
  "POST /api/container/bulk-upload": () => ({ containers: [newUpload().container] }),
  "POST /api/container/upload": () => ({ ...newUpload().container }),
  "PUT /api/container/rekey": async ({ device, box }) => ({ ...(await rekeyOf(device, box, () => 1n)) }),
  "POST /api/container/invitation": ({ server, sent }) => ({
    ...newInvitation(server, sent.invitation.recipient_user_email).invitation,
  }),
  // The invitation is not the stage device's own, so this is refused each time it is sent.
  "PUT /api/container/invitation/accept": ({ sent }) => ({ value: sent.invitation.sender_public_key }),
  "DELETE /api/container/entry": () => ({ value: crypto.randomUUID() }),
  "DELETE /api/container/category": () => ({ value: crypto.randomUUID() }),
};

const QUERIES: Record<string, string> = {
  "GET /api/auth/nonce-and-auth-string-params": "?email=ann%40example.com",
  "GET /api/user/public-key": "?email=ann%40example.com",
  "GET /api/auth/recovery-params": "?email=ann%40example.com",
};

/** The token types of the links that lead to pages, by path. */
const LINK_TYPES: Record<string, TokenType> = {
  "/account/deletion": "UserDeletion",
  "/api/user/deletion/verify": "UserDeletion",
  "/account/email": "EmailChange",
};

export interface Outgoing {
  method: string;
  url: string;
  headers: Record<string, string>;
  body?: Uint8Array<ArrayBuffer>;
}

/** A request that the route's tokens and decoder accept, its body as bytes. */
export async function goodRequest(stage: Stage, route: Endpoint, encoding: Encoding): Promise<Outgoing> {
  const { method, path, request: message } = route.spec;
  const headers: Record<string, string> = { accept: MEDIA_TYPES[encoding] };
  const holder = nameOf(route) === "DELETE /api/container/leave" ? { ...stage, box: stage.spare } : stage;
  for (const kind of tokensOf(route)) headers[TOKENS[kind].header] = TOKENS[kind].good(holder);
  const outgoing: Outgoing = { method, url: `http://localhost${path}${QUERIES[nameOf(route)] ?? ""}`, headers };
  if (route.spec.answers === "page") return withLinkToken(stage, outgoing, path);
  if (!message) return outgoing;
  headers["content-type"] = MEDIA_TYPES[encoding];
  return { ...outgoing, body: encode(message, await bodyOf(stage, route, message), encoding) };
}

/** In the link of a GET, in the form of a POST. */
function withLinkToken(stage: Stage, outgoing: Outgoing, path: string): Outgoing {
  const type = LINK_TYPES[path];
  if (!type) throw new Error(`LINK_TYPES must name the token of ${path}`);
  const parameter = new URLSearchParams({ token: issue(stage, type, nowSecs(stage) + 600) }).toString();
  if (outgoing.method === "GET") return { ...outgoing, url: `${outgoing.url}?${parameter}` };
  const headers = { ...outgoing.headers, "content-type": "application/x-www-form-urlencoded" };
  return { ...outgoing, headers, body: Buffer.from(parameter) };
}

async function bodyOf(stage: Stage, route: Endpoint, message: Message): Promise<Record<string, unknown>> {
  return (await BODIES[nameOf(route)]?.(stage)) ?? fullValueOf(message);
}

function encode(message: Message, value: Record<string, unknown>, encoding: Encoding): Uint8Array<ArrayBuffer> {
  return encoding === "json" ? Buffer.from(message.encodeJson(value)) : message.encodeProtobuf(value);
}

/** The Content-Type of pages. */
export const PAGE_TYPE = "text/html; charset=utf-8";

export interface Outcome {
  status: number;
  /** The error's name, or the heading of the page that tells it; undefined on success. */
  type: string | undefined;
  /** Of the answer; null for an empty one. */
  mediaType: string | null;
}

/** Sends a request and reads the answer. @throws when an error's body is not what its Content-Type says */
export async function outcomeOf({ server }: Stage, { url, ...init }: Outgoing): Promise<Outcome> {
  const response = await server.app.handle(new Request(url, init));
  const bytes = new Uint8Array(await response.arrayBuffer());
  const mediaType = response.headers.get("content-type");
  if (response.status < 400) return { status: response.status, type: undefined, mediaType };
  if (mediaType === PAGE_TYPE) {
    const heading = /<h1>([^<]+)<\/h1>/.exec(new TextDecoder().decode(bytes))?.[1];
    if (heading === undefined) throw new Error("the page has no heading");
    return { status: response.status, type: heading, mediaType };
  }
  const error =
    mediaType === MEDIA_TYPES.json ? ServerErrorResponse.decodeJson(bytes) : ServerErrorResponse.decodeProtobuf(bytes);
  if (error.err_message === "") throw new Error("the error says nothing");
  return { status: response.status, type: error.err_type, mediaType };
}

/** The body without one field, or with the wire type of one field changed (varint for bytes and the other way round). */
export function spoilField(
  body: Uint8Array,
  message: Message,
  name: string,
  how: "leave out" | "wrong type",
  encoding: Encoding,
): Uint8Array<ArrayBuffer> {
  const field = message.fields[name];
  if (!field) throw new Error(`${message.name} has no field ${name}`);
  if (encoding === "json") {
    const { [name]: former, ...others } = JSON.parse(Buffer.from(body).toString());
    // No field is an object within an array, and none takes true for anything but a bool.
    const spoilt = how === "leave out" ? others : { ...others, [name]: typeof former === "boolean" ? "true" : true };
    return Buffer.from(JSON.stringify(spoilt));
  }
  const others = topLevelFields(body).filter(({ number }) => number !== field.number);
  const kept = Buffer.concat(others.map(({ bytes }) => bytes));
  if (how === "leave out") return kept;
  const isVarint = topLevelFields(body).some(({ number, wireType }) => number === field.number && wireType === 0);
  const wrong = isVarint ? [...varint(field.number * 8 + 2), 1, 0] : [...varint(field.number * 8), 1];
  return Buffer.concat([kept, Buffer.from(wrong)]);
}

/** Adds a field that no message has. */
export function addUnknownField(body: Uint8Array, encoding: Encoding, contentBytes = 3): Uint8Array<ArrayBuffer> {
  if (encoding === "json") {
    const text = Buffer.from(body).toString();
    return Buffer.from(`${text.slice(0, -1)}${text === "{}" ? "" : ","}"no_such_field":1}`);
  }
  return Buffer.concat([
    body,
    Buffer.from([...varint(1999 * 8 + 2), ...varint(contentBytes)]),
    Buffer.alloc(contentBytes, 1),
  ]);
}

/** Makes a valid body as long as wanted without changing what it says: blanks in JSON, an unknown field in protobuf. */
export function padTo(body: Uint8Array, bytes: number, encoding: Encoding): Uint8Array<ArrayBuffer> {
  if (encoding === "json") return Buffer.concat([body, Buffer.alloc(bytes - body.length, " ")]);
  const nearly = bytes - body.length - 100; // on the same side of a power of two as the result
  const overhead = addUnknownField(body, encoding, nearly).length - nearly;
  const padded = addUnknownField(body, encoding, bytes - overhead);
  if (padded.length !== bytes) throw new Error("the padding's length prefix changed its size");
  return padded;
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 0x80) return [...bytes, rest];
    bytes.push((rest & 0x7f) | 0x80);
  }
}

interface TopLevelField {
  number: number;
  wireType: number;
  bytes: Uint8Array;
}

/** Cuts a body into its fields. Ours have varints and length-delimited fields only. */
function topLevelFields(body: Uint8Array): TopLevelField[] {
  const fields: TopLevelField[] = [];
  let at = 0;
  const readVarint = () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = body[at++] ?? 0;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < body.length) {
    const start = at;
    const tag = readVarint();
    const value = readVarint();
    if (tag % 8 === 2) at += value;
    fields.push({ number: tag >>> 3, wireType: tag % 8, bytes: body.subarray(start, at) });
  }
  return fields;
}
