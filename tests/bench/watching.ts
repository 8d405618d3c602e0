/** What clients do that watch containers: many idle streams, and edits whose events are waited for. */
import { EntryUpdate } from "../../src/entry/messages.ts";
import { MEDIA_TYPES } from "../../src/wire/negotiation.ts";
import { EventSocket } from "./eventSocket.ts";
import { HttpConnection, requestHead } from "./httpConnection.ts";
import type { Target } from "./load.ts";
import {
  BLOB_BYTES,
  boxOf,
  categoryNumber,
  containerNumbers,
  idOf,
  NONCE,
  NUMBERS_PER_CONTAINER,
  READ,
} from "./stock.ts";

/** Containers of each idle stream. */
const WATCHED_EACH = 3;
/** Nobody watches this one but the probe. */
const PROBED = READ.first + READ.containers - 1;
const PROBE_PAUSE_MS = 15;
const OPENED_AT_ONCE = 50;

const idle: EventSocket[] = [];

/** Opens streams on containers that nobody edits, and keeps them. */
export async function openStreams({ port, accessToken, count }: Target & { count: number }): Promise<void> {
  const tokens = containerNumbers(READ)
    .filter((container) => container !== PROBED)
    .map((container) => boxOf(container).token());
  let left = count;
  const keepOpening = async () => {
    while (left-- > 0) {
      const watched = Array.from({ length: WATCHED_EACH }, (_, index) => tokens[(left + index) % tokens.length] ?? "");
      idle.push(await EventSocket.open(port, accessToken, watched));
    }
  };
  await Promise.all(Array.from({ length: OPENED_AT_ONCE }, keepOpening));
}

export interface ProbeTally {
  edits: number;
  /** From each acknowledged edit to its event, in the process that was asked, in milliseconds. */
  hereMs: number[];
  /** The same in another process. */
  thereMs: number[];
}

/** Edits an entry again and again, and waits for each event in the process that is asked and in another one. */
export async function probe(round: Target & { otherPort: number; seconds: number }): Promise<ProbeTally> {
  const { port, accessToken } = round;
  const box = boxOf(PROBED);
  const streams = await Promise.all(
    [port, round.otherPort].map((place) => EventSocket.open(place, accessToken, [box.token()])),
  );
  const connection = await HttpConnection.open(port);
  const request = probeRequest(accessToken, box.token());
  const [hereMs, thereMs]: [number[], number[]] = [[], []];
  let cursor = streams[0]?.cursors.get(box.id) ?? 0n;
  const deadline = performance.now() + round.seconds * 1000;
  while (performance.now() < deadline) {
    cursor++;
    const expected = cursor;
    const events = streams.map(async (stream) => {
      await stream.until(() => (stream.cursors.get(box.id) ?? 0n) >= expected);
      return performance.now();
    });
    const { status } = await connection.exchange(request);
    if (status !== 200) throw new Error(`an edit was answered ${status}`);
    const acknowledgedAt = performance.now();
    const [hereAt = 0, thereAt = 0] = await Promise.all(events);
    // An event may overtake the answer.
    hereMs.push(Math.max(0, hereAt - acknowledgedAt));
    thereMs.push(Math.max(0, thereAt - acknowledgedAt));
    await Bun.sleep(PROBE_PAUSE_MS);
  }
  for (const stream of streams) stream.close();
  connection.close();
  return { edits: hereMs.length, hereMs, thereMs };
}

function probeRequest(accessToken: string, containerToken: string): Buffer {
  const body = EntryUpdate.encodeProtobuf({
    entry_id: idOf("entry", PROBED * NUMBERS_PER_CONTAINER),
    encrypted_blob: crypto.getRandomValues(new Uint8Array(BLOB_BYTES)),
    version_nonce: NONCE,
    expected_previous_version_nonce: NONCE,
    category_id: idOf("category", categoryNumber(PROBED, 0)),
  });
  const headers = { "x-access-token": accessToken, "x-container-access-token": containerToken };
  const content = { contentType: MEDIA_TYPES.protobuf, bytes: body.length };
  return Buffer.concat([Buffer.from(requestHead("PUT", "/api/container/entry", headers, content)), body]);
}
