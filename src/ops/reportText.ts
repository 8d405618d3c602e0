/** The text of a request of any content type, whatever its charset and however it is packed (platform.md 5). */
import { promisify } from "node:util";
import { brotliDecompress, constants, gunzip, inflate, inflateRaw, zstdDecompress } from "node:zlib";
import { ApiError } from "../errors.ts";
import { readBody } from "../http/body.ts";
import type { Incoming } from "../http/endpoint.ts";

/** Of the body as it comes, and of what is in it once it is unpacked. */
export const REPORT_BYTES_MAX = 262_144;
/** 8 MiB, in bits: what the packer may make the unpacker take from memory. */
const ZSTD_WINDOW_BITS_MAX = 23;

type Unpack = (packed: Uint8Array) => Promise<Uint8Array>;

/** Each stops as soon as more comes out than is allowed: a small body may hold gigabytes. */
const bounded = { maxOutputLength: REPORT_BYTES_MAX };
const gunzipBounded: Unpack = (packed) => promisify(gunzip)(packed, bounded);
const UNPACKERS: Readonly<Record<string, Unpack>> = {
  identity: async (packed) => packed,
  gzip: gunzipBounded,
  "x-gzip": gunzipBounded,
  br: (packed) => promisify(brotliDecompress)(packed, bounded),
  // RFC 9110 wants a zlib header (RFC 1950); some clients leave it out.
  deflate: (packed) => promisify(hasZlibHeader(packed) ? inflate : inflateRaw)(packed, bounded),
  zstd: (packed) =>
    promisify(zstdDecompress)(packed, {
      ...bounded,
      params: { [constants.ZSTD_d_windowLogMax]: ZSTD_WINDOW_BITS_MAX },
    }),
};

/**
 * @throws ApiError PREHANDLER: 413 over 262,144 bytes, packed or unpacked; 400 for a charset or an encoding that is not
 *   known, and for what cannot be read as such
 */
export async function readReport({ request, onBodyProgress }: Incoming): Promise<string> {
  const decoder = decoderFor(request.headers.get("content-type") ?? "");
  const encoding = (request.headers.get("content-encoding") ?? "identity").trim().toLowerCase();
  const unpack = Object.hasOwn(UNPACKERS, encoding) ? UNPACKERS[encoding] : undefined;
  if (!unpack) {
    throw new ApiError("PREHANDLER", `The Content-Encoding must be one of ${Object.keys(UNPACKERS).join(", ")}.`);
  }
  const body = await readBody(request, REPORT_BYTES_MAX, onBodyProgress);
  const bytes = body.length === 0 ? body : await unpackBody(unpack, body);
  try {
    return decoder.decode(bytes);
  } catch {
    throw new ApiError("PREHANDLER", `The report is no text in ${decoder.encoding}.`);
  }
}

/** Of the Content-Type's charset; UTF-8 without one. @throws ApiError PREHANDLER 400 when nobody knows it */
function decoderFor(contentType: string): TextDecoder {
  const [, quoted, plain] = /;\s*charset\s*=\s*(?:"([^"]*)"|([^\s;"]*))/i.exec(contentType) ?? [];
  try {
    return new TextDecoder((quoted ?? plain ?? "utf-8") as Bun.Encoding, { fatal: true });
  } catch {
    throw new ApiError("PREHANDLER", "The charset of the Content-Type is not known.");
  }
}

/** @throws ApiError PREHANDLER 413, 400 */
async function unpackBody(unpack: Unpack, body: Uint8Array): Promise<Uint8Array> {
  try {
    return await unpack(body);
  } catch (error) {
    if (error instanceof RangeError) {
      throw new ApiError("PREHANDLER", `The report is larger than ${REPORT_BYTES_MAX} bytes.`, { status: 413 });
    }
    throw new ApiError("PREHANDLER", "The report cannot be unpacked as its Content-Encoding says.");
  }
}

function hasZlibHeader([method = 0, flags = 0]: Uint8Array): boolean {
  return (method & 0x0f) === 8 && ((method << 8) | flags) % 31 === 0;
}
