import { ApiError } from "../errors.ts";

/**
 * Bodies with a declared length up to this are read in one go, which is faster, and must come within one idle timeout;
 * larger and chunked ones are counted while they come.
 */
const ONE_GO_BYTES_MAX = 16 * 1024;
const FIRST_BUFFER_BYTES = 1024 * 1024;

/**
 * Reads a request's body, at most `bytesMax` of it.
 * A body that stops coming is cut by the server's idle timeout (30 s without progress, decision W16).
 *
 * @param onPiece called with the size of each piece of a large body, to put that timeout off; what it throws ends the reading
 * @throws ApiError PREHANDLER 413 as soon as the limit is known to be passed, 400 when the client broke off
 */
export async function readBody(
  request: Request,
  bytesMax: number,
  onPiece: (bytes: number) => void,
): Promise<Uint8Array> {
  const declared = Number(request.headers.get("content-length") ?? Number.NaN);
  if (declared > bytesMax) throw tooLarge(bytesMax);
  try {
    if (declared <= ONE_GO_BYTES_MAX) return new Uint8Array(await request.arrayBuffer());
    return await readCounted(request, declared, bytesMax, onPiece);
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ApiError("PREHANDLER", "The request body could not be read to its end.");
  }
}

/**
 * Collects what comes in one buffer: putting the pieces of a large body together at its end would hold up everybody
 * else. Memory for a declared length is taken when the first megabyte has come.
 */
async function readCounted(
  request: Request,
  declared: number,
  bytesMax: number,
  onPiece: (bytes: number) => void,
): Promise<Uint8Array> {
  let buffer = Buffer.allocUnsafe(Math.min(FIRST_BUFFER_BYTES, bytesMax, declared || FIRST_BUFFER_BYTES));
  let length = 0;
  for await (const chunk of request.body ?? []) {
    const needed = length + chunk.length;
    if (needed > bytesMax) throw tooLarge(bytesMax);
    if (needed > buffer.length) {
      const smaller = buffer;
      buffer = Buffer.allocUnsafe(
        needed <= declared ? declared : Math.min(Math.max(needed, 2 * buffer.length), bytesMax),
      );
      smaller.copy(buffer, 0, 0, length);
    }
    buffer.set(chunk, length);
    length = needed;
    onPiece(chunk.length);
  }
  return buffer.subarray(0, length);
}

function tooLarge(bytesMax: number): ApiError {
  return new ApiError("PREHANDLER", `The request body is larger than ${bytesMax} bytes.`, { status: 413 });
}
