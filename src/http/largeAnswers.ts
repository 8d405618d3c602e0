/**
 * Answers over a MiB wait in memory for clients that may be slow to read them. They are counted, from here until the
 * last of them was handed to the operating system or the client is gone; one that does not read at all is cut off by
 * the server's idle timeout.
 */
import { type ByteBudget, COUNTED_BYTES_MIN, type HeldBytes } from "./byteBudget.ts";

/**
 * Making an answer takes about five times its size. The runtime does not see how large these rows are, and would let
 * those of the next answers pile up on them: over this size, it is told to clean up.
 */
const CLEAN_UP_BYTES_MIN = 16 * 1024 * 1024;

/** What is handed over at a time. */
const PIECE_BYTES = 256 * 1024;

/** The bytes of large answers that were made and not yet counted: a Response does not tell its size. */
const bodies = new WeakMap<Response, Uint8Array<ArrayBufferLike>>();

/** A Response with these bytes, which `countedAnswer` will know. */
export function answerOf(bytes: Uint8Array<ArrayBufferLike>, init: ResponseInit): Response {
  const answer = new Response(bytes as Uint8Array<ArrayBuffer>, init);
  if (bytes.length > COUNTED_BYTES_MIN) bodies.set(answer, bytes);
  return answer;
}

/**
 * The answer as it is sent: the same one when it is small, else in pieces, as the client takes them.
 *
 * @param account whose answer it is
 * @param isRefusable the request can be repeated: it has changed nothing
 * @throws ApiError PREHANDLER 503 when too much waits to be sent
 */
export function countedAnswer(answer: Response, budget: ByteBudget, account: string, isRefusable: boolean): Response {
  const bytes = bodies.get(answer);
  if (!bytes) return answer;
  if (bytes.length > CLEAN_UP_BYTES_MIN) setTimeout(() => Bun.gc(true));
  const held = budget.hold(account);
  if (isRefusable) held.grow(bytes.length);
  else held.growAnyway(bytes.length);
  answer.headers.set("content-length", String(bytes.length)); // for the second port: Bun's server sends chunks
  return new Response(inPieces(bytes, held), { status: answer.status, headers: answer.headers });
}

function inPieces(bytes: Uint8Array<ArrayBufferLike>, held: HeldBytes): ReadableStream<Uint8Array> {
  let sent = 0;
  return new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        const end = Math.min(sent + PIECE_BYTES, bytes.length);
        controller.enqueue(bytes.subarray(sent, end));
        sent = end;
        if (sent < bytes.length) return;
        held.release();
        controller.close();
      },
      cancel: () => held.release(),
    },
    { highWaterMark: 0 },
  );
}
