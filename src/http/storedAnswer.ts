/** Answers that are the same for everybody for as long as the process runs: made once, kept in memory, compressed. */
import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { gzip, type ZlibOptions } from "node:zlib";
import { bestCoding, type Coding } from "./compression.ts";
import { type Endpoint, type EndpointSpec, endpoint } from "./endpoint.ts";

const gzipElsewhere = promisify<Uint8Array, ZlibOptions, Uint8Array>(gzip);

export interface StoredSpec
  extends Required<Pick<EndpointSpec<Record<never, never>, undefined, undefined>, "path" | "summary" | "contentType">> {
  /** Further headers, like a policy. */
  headers?: Readonly<Record<string, string>>;
  /** Gives the body; called once, at the first request. */
  load: () => string | Uint8Array<ArrayBuffer> | Promise<string | Uint8Array<ArrayBuffer>>;
}

interface Stored extends Record<Coding | "plain", Uint8Array<ArrayBuffer>> {
  etag: string;
}

/** Declares a GET that is open to everybody. Clients may keep the answer, and ask each time whether it still holds. */
export function storedAnswer({ path, summary, contentType, headers, load }: StoredSpec): Endpoint {
  let stored: Promise<Stored> | undefined;
  return endpoint(
    { method: "GET", path, summary, limit: "read", tokens: {}, contentType, hasEtag: true },
    async ({ request }) => {
      stored ??= store(load).catch((error) => {
        stored = undefined; // the next request tries again
        throw error;
      });
      const { etag, ...bodies } = await stored;
      // With `vary`, nobody compresses it again.
      const answer = new Headers({ ...headers, etag, "cache-control": "no-cache", vary: "Accept-Encoding" });
      if (isNamed(etag, request.headers.get("if-none-match"))) {
        return new Response(null, { status: 304, headers: answer });
      }
      const coding = bestCoding(request.headers.get("accept-encoding"));
      if (coding) answer.set("content-encoding", coding);
      answer.set("content-type", contentType);
      return new Response(bodies[coding ?? "plain"], { headers: answer });
    },
  );
}

/** Worth while for what is compressed once. */
const ZSTD_LEVEL = 15;
const GZIP_LEVEL = 9;

async function store(load: StoredSpec["load"]): Promise<Stored> {
  const body = await load();
  const plain = typeof body === "string" ? new TextEncoder().encode(body) : body;
  const zstd = new Uint8Array(await Bun.zstdCompress(plain, { level: ZSTD_LEVEL }));
  const gzip = new Uint8Array(await gzipElsewhere(plain, { level: GZIP_LEVEL }));
  const hash = createHash("sha256").update(plain).digest("base64url").slice(0, 22);
  return { plain, zstd, gzip, etag: `W/"${hash}"` }; // weak: the same for all codings
}

/** Whether an `If-None-Match` names this tag (RFC 9110, 13.1.2). */
function isNamed(etag: string, header: string | null): boolean {
  if (header === null) return false;
  const opaque = (tag: string) => tag.trim().replace(/^W\//, "");
  return header.trim() === "*" || header.split(",").some((tag) => opaque(tag) === opaque(etag));
}
