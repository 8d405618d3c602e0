/** What the load generator does, over HTTP. Each function is one round. */
import { CredentialPair, SigninNonceAndHashParams } from "../../src/auth/messages.ts";
import { ContainerAccessTokenList } from "../../src/container/messages.ts";
import { EntryUpdate } from "../../src/entry/messages.ts";
import { MEDIA_TYPES } from "../../src/wire/negotiation.ts";
import type { Box } from "../support/client.ts";
import { HttpConnection, requestHead } from "./httpConnection.ts";
import {
  BLOB_BYTES,
  boxOf,
  categoryNumber,
  containerNumbers,
  EDITED,
  idOf,
  NONCE,
  NUMBERS_PER_CONTAINER,
  READ,
} from "./stock.ts";

export interface Target {
  port: number;
  accessToken: string;
}

export interface EditRound extends Target {
  connections: number;
  seconds: number;
  /** "fresh": every request has a container token of its own, of which so many are signed before the round. */
  tokens: "reused" | { fresh: number };
}

export interface EditTally {
  perSecond: number;
  succeeded: number;
  /** Answers with any status but 200. */
  failed: number;
  /** Of every answer, in milliseconds. */
  latenciesMs: number[];
}

const boxes = new Map<number, Box>();

function box(container: number): Box {
  const known = boxes.get(container) ?? boxOf(container);
  boxes.set(container, known);
  return known;
}

/** A body per entry, made once. */
let editBodies: Uint8Array[] = [];

function makeEditBodies(): void {
  if (editBodies.length > 0) return;
  editBodies = containerNumbers(EDITED).flatMap((container) =>
    Array.from({ length: EDITED.entriesEach }, (_, place) =>
      EntryUpdate.encodeProtobuf({
        entry_id: idOf("entry", container * NUMBERS_PER_CONTAINER + place),
        encrypted_blob: crypto.getRandomValues(new Uint8Array(BLOB_BYTES)),
        version_nonce: NONCE,
        expected_previous_version_nonce: NONCE,
        category_id: idOf("category", categoryNumber(container, place)),
      }).slice(),
    ),
  );
}

/** A request without its body, and which body belongs to it. */
interface EditHead {
  text: string;
  bodyIndex: number;
}

/** Edits random entries as fast as the connections allow. */
export async function edit(round: EditRound): Promise<EditTally> {
  makeEditBodies();
  const nextHead = round.tokens === "reused" ? reusingHeads(round) : freshHeads(round, round.tokens.fresh);
  const connections = await openAll(round.port, round.connections);
  const latenciesMs: number[] = [];
  let succeeded = 0;
  const startedAt = performance.now();
  const deadline = startedAt + round.seconds * 1000;

  async function keepEditing(connection: HttpConnection): Promise<void> {
    const request = Buffer.allocUnsafe(8 * 1024);
    for (let now = performance.now(); now < deadline; ) {
      const head = nextHead();
      if (!head) return;
      const headBytes = request.write(head.text, "latin1");
      const body = editBodies[head.bodyIndex] ?? new Uint8Array(0);
      request.set(body, headBytes);
      const { status } = await connection.exchange(request.subarray(0, headBytes + body.length));
      if (status === 200) succeeded++;
      const answeredAt = performance.now();
      latenciesMs.push(answeredAt - now);
      now = answeredAt;
    }
  }

  await Promise.all(connections.map(keepEditing));
  const seconds = (performance.now() - startedAt) / 1000;
  for (const connection of connections) connection.close();
  return {
    perSecond: latenciesMs.length / seconds,
    succeeded,
    failed: latenciesMs.length - succeeded,
    latenciesMs,
  };
}

function editHead(target: Target, containerToken: string, bodyIndex: number): EditHead {
  const headers = { "x-access-token": target.accessToken, "x-container-access-token": containerToken };
  const bytes = editBodies[bodyIndex]?.length ?? 0;
  return {
    text: requestHead("PUT", "/api/container/entry", headers, { contentType: MEDIA_TYPES.protobuf, bytes }),
    bodyIndex,
  };
}

function randomBodyIndex(): number {
  return Math.floor(Math.random() * editBodies.length);
}

function containerOfBody(bodyIndex: number): number {
  return EDITED.first + Math.floor(bodyIndex / EDITED.entriesEach);
}

function reusingHeads(target: Target): () => EditHead {
  const heads = editBodies.map((_, index) => editHead(target, box(containerOfBody(index)).token(), index));
  return () => heads[randomBodyIndex()] ?? editHead(target, "", 0);
}

function freshHeads(target: Target, count: number): () => EditHead | undefined {
  const heads = Array.from({ length: count }, () => {
    const index = randomBodyIndex();
    return editHead(target, box(containerOfBody(index)).freshToken(), index);
  });
  return () => heads.pop();
}

/** Stays open from round to round, as a client's does: a young connection is slow until its windows have grown. */
let reading: HttpConnection | undefined;

/** Reads all containers at once, again and again. @returns milliseconds of each answer, to its last byte */
export async function fetchContainers(round: Target & { times: number }): Promise<{ ms: number[]; bytes: number }> {
  const tokens = containerNumbers(READ).map((container) => box(container).token());
  const body = ContainerAccessTokenList.encodeProtobuf({ tokens });
  const headers = { "x-access-token": round.accessToken };
  const content = { contentType: MEDIA_TYPES.protobuf, bytes: body.length };
  const request = Buffer.concat([
    Buffer.from(requestHead("POST", "/api/container/query", headers, content), "latin1"),
    body,
  ]);
  reading ??= await HttpConnection.open(round.port);
  const ms: number[] = [];
  let bytes = 0;
  for (let time = 0; time < round.times; time++) {
    const startedAt = performance.now();
    const answer = await reading.exchange(request, false);
    ms.push(performance.now() - startedAt);
    if (answer.status !== 200) throw new Error(`the server answered ${answer.status}`);
    bytes = answer.bodyBytes;
  }
  return { ms, bytes };
}

export interface Account {
  email: string;
  auth_string: Uint8Array;
}

const HEARTBEAT_PAUSE_MS = 5;

/**
 * Signs in a number of times, over one connection per account, and meanwhile asks for heartbeats.
 *
 * @returns heartbeatsMs: milliseconds of each answer to a heartbeat
 */
export async function signIn(round: {
  port: number;
  accounts: Account[];
  times: number;
}): Promise<{ perSecond: number; heartbeatsMs: number[] }> {
  const connections = await openAll(round.port, round.accounts.length);
  const heart = await HttpConnection.open(round.port);
  const heartbeatsMs: number[] = [];
  let left = round.times;
  let isOver = false;

  const beating = (async () => {
    const request = Buffer.from(requestHead("GET", "/api/heartbeat", {}, undefined));
    while (!isOver) {
      const startedAt = performance.now();
      const { status } = await heart.exchange(request);
      if (status !== 200) throw new Error(`a heartbeat was answered ${status}`);
      heartbeatsMs.push(performance.now() - startedAt);
      await Bun.sleep(HEARTBEAT_PAUSE_MS);
    }
  })();
  const startedAt = performance.now();
  const signing = round.accounts.map(async (account, index) => {
    const connection = connections[index];
    while (connection && left-- > 0) await signInOnce(connection, account);
  });
  await Promise.all(signing);
  const seconds = (performance.now() - startedAt) / 1000;
  isOver = true;
  await beating;
  for (const connection of [...connections, heart]) connection.close();
  return { perSecond: round.times / seconds, heartbeatsMs };
}

async function signInOnce(connection: HttpConnection, { email, auth_string }: Account): Promise<void> {
  const path = `/api/auth/nonce-and-auth-string-params?email=${encodeURIComponent(email)}`;
  const parameters = await connection.exchange(Buffer.from(requestHead("GET", path, {}, undefined)));
  if (parameters.status !== 200) throw new Error(`parameters were answered ${parameters.status}`);
  const { nonce } = SigninNonceAndHashParams.decodeProtobuf(Buffer.concat(parameters.chunks));
  const body = CredentialPair.encodeProtobuf({ email, auth_string: Uint8Array.from(auth_string), nonce });
  const head = requestHead("POST", "/api/auth/sign-in", {}, { contentType: MEDIA_TYPES.protobuf, bytes: body.length });
  const { status } = await connection.exchange(Buffer.concat([Buffer.from(head), body]));
  if (status !== 200) throw new Error(`a sign-in was answered ${status}`);
}

/** Requests of a round that are made in turns over all connections, each when the one before is answered. */
interface CountedRound extends Target {
  connections: number;
  requests: number;
}

/** Asks for heartbeats as fast as the connections allow. */
export function beat(round: CountedRound): Promise<{ perSecond: number }> {
  const request = Buffer.from(requestHead("GET", "/api/heartbeat", {}, undefined));
  return exchangeAll(round, () => ({ request, status: 200 }));
}

/** Of every ten requests an edit, two that are refused, each in its own words, and heartbeats. */
export function askAnything(round: CountedRound): Promise<{ perSecond: number }> {
  makeEditBodies();
  const nextEdit = reusingHeads(round);
  const heartbeat = Buffer.from(requestHead("GET", "/api/heartbeat", {}, undefined));
  const get = (path: string, headers: Record<string, string>) =>
    Buffer.from(requestHead("GET", path, headers, undefined));
  return exchangeAll(round, (index) => {
    if (index % 10 === 0) {
      const { text, bodyIndex } = nextEdit();
      return { request: Buffer.concat([Buffer.from(text), editBodies[bodyIndex] ?? Buffer.alloc(0)]), status: 200 };
    }
    if (index % 10 === 1) return { request: get(`/api/${crypto.randomUUID()}?x=${index}`, {}), status: 404 };
    if (index % 10 === 2) {
      const accessToken = Buffer.from(crypto.randomUUID().repeat(4)).toString("base64url");
      return { request: get("/api/auth/session", { "x-access-token": accessToken }), status: 401 };
    }
    return { request: heartbeat, status: 200 };
  });
}

/** @throws Error when an answer has another status than was expected */
async function exchangeAll(
  { port, connections: count, requests }: CountedRound,
  next: (index: number) => { request: Uint8Array; status: number },
): Promise<{ perSecond: number }> {
  const connections = await openAll(port, count);
  let index = 0;
  const startedAt = performance.now();
  await Promise.all(
    connections.map(async (connection) => {
      while (index < requests) {
        const { request, status } = next(index++);
        const answer = await connection.exchange(request);
        if (answer.status !== status) throw new Error(`a request was answered ${answer.status}, not ${status}`);
      }
      connection.close();
    }),
  );
  return { perSecond: requests / ((performance.now() - startedAt) / 1000) };
}

function openAll(port: number, count: number): Promise<HttpConnection[]> {
  return Promise.all(Array.from({ length: count }, () => HttpConnection.open(port)));
}
