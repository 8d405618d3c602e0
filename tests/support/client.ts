/**
 * A client as the tests, the demo and the benchmark use it: it speaks both encodings, signs container tokens, and
 * talks to an app in the same process or to a server over a socket.
 */
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";
import {
  AuthenticatedSession,
  CredentialPair,
  Otp,
  SigninNonceAndHashParams,
  SigninToken,
  TokenPair,
} from "../../src/auth/messages.ts";
import { CategoryId, CategoryUpdate } from "../../src/category/messages.ts";
import {
  ContainerAccessTokenList,
  ContainerFrame,
  ContainerList,
  EncryptedBlobUpdate,
  NewContainer,
  NewEncryptedBlob,
} from "../../src/container/messages.ts";
import { encodeBase64Url } from "../../src/crypto/base64url.ts";
import {
  EncryptedBlobAndCategoryId,
  EntryAndCategory,
  EntryId,
  EntryIdAndCategoryId,
  EntryUpdate,
} from "../../src/entry/messages.ts";
import { NewUser } from "../../src/user/messages.ts";
import { ServerErrorResponse } from "../../src/wire/common.ts";
import type { Message } from "../../src/wire/message.ts";
import { type Encoding, MEDIA_TYPES } from "../../src/wire/negotiation.ts";

export type Send = (request: Request) => Promise<Response>;

export interface Call<Body, Reply> {
  request?: readonly [Message<Body>, Body];
  response?: Message<Reply>;
  headers?: Record<string, string>;
}

export interface Answer<Reply> {
  status: number;
  headers: Headers;
  /** Set on success, when the answer has a body. */
  value: Reply | undefined;
  /** Set on failure. */
  error: ServerErrorResponse | undefined;
}

/** The server refused a request that a story needed to succeed. */
export class Refused extends Error {
  constructor(
    call: string,
    readonly status: number,
    readonly type: string | undefined,
    message: string | undefined,
  ) {
    super(`${call} was refused: ${status} ${type ?? ""} ${message ?? ""}`);
  }
}

/** An RSA key pair is slow to make, so all accounts of a run share one. */
let rsaPublicKey: Uint8Array | undefined;

export function recipientPublicKey(): Uint8Array {
  rsaPublicKey ??= generateKeyPairSync("rsa", { modulusLength: 2048 }).publicKey.export({
    format: "der",
    type: "spki",
  });
  return rsaPublicKey;
}

export function newUser(overrides: Partial<NewUser> = {}): NewUser {
  return {
    email: `ann-${randomBytes(6).toString("hex")}@example.com`,
    auth_string: randomBytes(32),
    auth_string_hash_salt: randomBytes(16),
    auth_string_hash_mem_cost_kib: 65_536,
    auth_string_hash_threads: 2,
    auth_string_hash_iterations: 10,
    password_encryption_key_salt: randomBytes(16),
    password_encryption_key_mem_cost_kib: 65_536,
    password_encryption_key_threads: 2,
    password_encryption_key_iterations: 10,
    recovery_key_hash_salt_for_encryption: randomBytes(16),
    recovery_key_hash_salt_for_recovery_auth: randomBytes(16),
    recovery_key_hash_mem_cost_kib: 65_536,
    recovery_key_hash_threads: 2,
    recovery_key_hash_iterations: 10,
    recovery_key_auth_hash: randomBytes(32),
    encryption_key_encrypted_with_password: randomBytes(48),
    encryption_key_encrypted_with_recovery_key: randomBytes(48),
    public_key_id: Bun.randomUUIDv7(),
    public_key: recipientPublicKey(),
    preferences_encrypted: randomBytes(64),
    preferences_version_nonce: -1n,
    user_keystore_encrypted: randomBytes(128),
    user_keystore_version_nonce: 2n ** 63n - 1n,
    ...overrides,
  };
}

/** The raw 32 bytes of an Ed25519 public key. */
export function rawPublicKey(key: KeyObject): Uint8Array {
  return key.export({ format: "der", type: "spki" }).subarray(-32);
}

export function signContainerToken(privateKey: KeyObject, claims: Record<string, unknown> | string): string {
  const signed = Buffer.from(typeof claims === "string" ? claims : JSON.stringify(claims));
  return encodeBase64Url(Buffer.concat([signed, sign(null, signed, privateKey)]));
}

/** A container with the key that opens it. */
export class Box {
  constructor(
    readonly id: string,
    readonly key_id: string,
    readonly privateKey: KeyObject,
    readonly category_ids: readonly string[] = [],
  ) {}

  #token: string | undefined;

  /** A token as a real client makes it: signed once, used for hours. */
  token(): string {
    this.#token ??= this.freshToken();
    return this.#token;
  }

  freshToken(expirationSecs = Math.floor(Date.now() / 1000) + 3600 + Math.floor(Math.random() * 1e6)): string {
    return signContainerToken(this.privateKey, { kid: this.key_id, bid: this.id, exp: expirationSecs });
  }
}

/** The headers of an answer, to be compared with those of another: all but the id that each has of its own. */
export function comparableHeaders(headers: Headers): [name: string, value: string][] {
  return [...headers].filter(([name]) => name !== "x-request-id");
}

export class Client {
  constructor(
    readonly send: Send,
    readonly encoding: Encoding = "protobuf",
    readonly base = "http://localhost",
  ) {}

  async call<Body, Reply>(method: string, path: string, call: Call<Body, Reply> = {}): Promise<Answer<Reply>> {
    const headers: Record<string, string> = { accept: MEDIA_TYPES[this.encoding], ...call.headers };
    let body: string | Uint8Array<ArrayBuffer> | undefined;
    if (call.request) {
      const [message, value] = call.request;
      headers["content-type"] ??= MEDIA_TYPES[this.encoding];
      body = this.encoding === "json" ? message.encodeJson(value) : message.encodeProtobuf(value);
    }
    const response = await this.send(new Request(this.base + path, { method, headers, ...(body && { body }) }));
    const bytes = new Uint8Array(await response.arrayBuffer());
    const decode = <T>(message: Message<T>) =>
      response.headers.get("content-type") === MEDIA_TYPES.json
        ? message.decodeJson(bytes)
        : message.decodeProtobuf(bytes);
    const isEmpty = response.headers.get("content-type") === null;
    return {
      status: response.status,
      headers: response.headers,
      value: response.ok && call.response && !isEmpty ? decode(call.response) : undefined,
      error: !response.ok && !isEmpty ? decode(ServerErrorResponse) : undefined,
    };
  }

  /** As `call`, for requests that must succeed. @throws Refused */
  async must<Body, Reply>(method: string, path: string, call: Call<Body, Reply> = {}): Promise<Reply> {
    const answer = await this.call(method, path, call);
    if (answer.status >= 300) {
      throw new Refused(`${method} ${path}`, answer.status, answer.error?.err_type, answer.error?.err_message);
    }
    return answer.value as Reply;
  }

  createUser(user: NewUser, headers: Record<string, string> = {}) {
    return this.call("POST", "/api/user", { request: [NewUser, user], response: SigninToken, headers });
  }

  nonce(email: string) {
    return this.call("GET", `/api/auth/nonce-and-auth-string-params?email=${encodeURIComponent(email)}`, {
      response: SigninNonceAndHashParams,
    });
  }

  async signIn(email: string, auth_string: Uint8Array, headers: Record<string, string> = {}) {
    const nonce = (await this.nonce(email)).value?.nonce ?? 0;
    return this.signInWith({ email, auth_string, nonce }, headers);
  }

  signInWith(credentials: CredentialPair, headers: Record<string, string> = {}) {
    return this.call("POST", "/api/auth/sign-in", {
      request: [CredentialPair, credentials],
      response: SigninToken,
      headers,
    });
  }

  verifyOtp(signinToken: string, otp: string, headers: Record<string, string> = { "x-signin-token": signinToken }) {
    return this.call("POST", "/api/auth/otp/verify", {
      request: [Otp, { value: otp }],
      response: AuthenticatedSession,
      headers,
    });
  }

  refresh(refreshToken: string) {
    return this.call("POST", "/api/auth/token/refresh", {
      response: TokenPair,
      headers: { "x-refresh-token": refreshToken },
    });
  }

  logout(accessToken: string, refreshToken: string) {
    return this.call("POST", "/api/auth/logout", {
      headers: { "x-access-token": accessToken, "x-refresh-token": refreshToken },
    });
  }
}

/** A signed-in user on one device. */
export class Device {
  constructor(
    readonly client: Client,
    readonly accessToken: string,
    readonly refreshToken: string,
  ) {}

  headers(box?: Box): Record<string, string> {
    const headers: Record<string, string> = { "x-access-token": this.accessToken };
    if (box) headers["x-container-access-token"] = box.token();
    return headers;
  }

  newContainer(overrides: Partial<NewContainer> = {}) {
    const { publicKey, privateKey } = generateKeyPairSync("ed25519");
    const container: NewContainer = {
      encrypted_blob: randomBytes(100),
      version_nonce: 1n,
      categories: [],
      user_public_container_key: rawPublicKey(publicKey),
      ...overrides,
    };
    return { container, privateKey };
  }

  async createContainer(overrides: Partial<NewContainer> = {}): Promise<Box> {
    const { container, privateKey } = this.newContainer(overrides);
    const frame = await this.client.must("POST", "/api/container", {
      request: [NewContainer, container],
      response: ContainerFrame,
      headers: this.headers(),
    });
    const category_ids = frame.category_ids.map(({ real_id }) => real_id);
    return new Box(frame.id, frame.access_key_id, privateKey, category_ids);
  }

  async createEntry(box: Box, entry: Partial<EncryptedBlobAndCategoryId> = {}): Promise<string> {
    const frame = await this.client.must("POST", "/api/container/entry", {
      request: [EncryptedBlobAndCategoryId, { encrypted_blob: randomBytes(50), version_nonce: 1n, ...entry }],
      response: EntryId,
      headers: this.headers(box),
    });
    return frame.value;
  }

  async createCategory(box: Box, category: Partial<NewEncryptedBlob> = {}): Promise<string> {
    const frame = await this.client.must("POST", "/api/container/category", {
      request: [NewEncryptedBlob, { value: randomBytes(50), version_nonce: 1n, ...category }],
      response: CategoryId,
      headers: this.headers(box),
    });
    return frame.value;
  }

  createEntryAndCategory(box: Box, pair: EntryAndCategory) {
    return this.client.must("POST", "/api/container/entry-and-category", {
      request: [EntryAndCategory, pair],
      response: EntryIdAndCategoryId,
      headers: this.headers(box),
    });
  }

  replaceEntry(box: Box, update: EntryUpdate) {
    return this.client.call("PUT", "/api/container/entry", {
      request: [EntryUpdate, update],
      headers: this.headers(box),
    });
  }

  replaceCategory(box: Box, update: CategoryUpdate) {
    return this.client.call("PUT", "/api/container/category", {
      request: [CategoryUpdate, update],
      headers: this.headers(box),
    });
  }

  replaceContainer(box: Box, update: EncryptedBlobUpdate) {
    return this.client.call("PUT", "/api/container", {
      request: [EncryptedBlobUpdate, update],
      headers: this.headers(box),
    });
  }

  deleteEntry(box: Box, entry_id: string) {
    return this.client.call("DELETE", "/api/container/entry", {
      request: [EntryId, { value: entry_id }],
      headers: this.headers(box),
    });
  }

  deleteCategory(box: Box, category_id: string) {
    return this.client.call("DELETE", "/api/container/category", {
      request: [CategoryId, { value: category_id }],
      headers: this.headers(box),
    });
  }

  /** Reads whole containers by POST; `fetch` gives the answer as it is, `read` the one container. */
  fetch(tokens: string[]) {
    return this.client.call("POST", "/api/container/query", {
      request: [ContainerAccessTokenList, { tokens }],
      response: ContainerList,
      headers: this.headers(),
    });
  }

  async read(box: Box) {
    const answer = await this.fetch([box.token()]);
    const [container] = answer.value?.containers ?? [];
    if (!container) throw new Refused("reading a container", answer.status, answer.error?.err_type, undefined);
    return container;
  }
}
