/** Which of the two encodings a request speaks and which one its answer gets (messages.md, "Choosing"; W18). */
export type Encoding = "protobuf" | "json";

/** What answers carry as their Content-Type. */
export const MEDIA_TYPES = {
  protobuf: "application/protobuf",
  json: "application/json",
} as const satisfies Record<Encoding, string>;

const ENCODINGS_BY_MEDIA_TYPE: ReadonlyMap<string, Encoding> = new Map([
  [MEDIA_TYPES.protobuf, "protobuf"],
  ["application/x-protobuf", "protobuf"],
  [MEDIA_TYPES.json, "json"],
]);

/**
 * The encoding that a `Content-Type` names, parameters and case aside.
 * @returns undefined for any other type and for none
 */
export function requestEncoding(contentType: string | null): Encoding | undefined {
  return ENCODINGS_BY_MEDIA_TYPE.get(mediaTypeOf(contentType ?? ""));
}

/**
 * The encoding of the answer, by `Accept`: the higher q-value, then the encoding that is named over the one a
 * wildcard lets in, then the request's own. It never refuses: when `Accept` allows neither, the answer mirrors the
 * request (W18).
 * @param request the request body's encoding; undefined without a body, which counts as protobuf
 */
export function responseEncoding(accept: string | null, request: Encoding | undefined): Encoding {
  const mirrored = request ?? "protobuf";
  if (accept === null) return mirrored;
  const other = mirrored === "protobuf" ? "json" : "protobuf";
  const ranges = parseAccept(accept);
  const mirroredRank = rankOf(mirrored, ranges);
  const otherRank = rankOf(other, ranges);
  if (otherRank.quality === 0) return mirrored;
  if (otherRank.quality !== mirroredRank.quality) return otherRank.quality > mirroredRank.quality ? other : mirrored;
  return otherRank.precision > mirroredRank.precision ? other : mirrored;
}

interface MediaRange {
  /** Lower-case, without parameters. */
  range: string;
  /** 0 (never) to 1. */
  quality: number;
}

interface Rank {
  quality: number;
  /** How closely the header names the encoding: 0 not at all, 1 any type, 2 any application type, 3 by its name. */
  precision: number;
}

const RFC9110_QVALUE = /^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/;

/** Ranges with a malformed q-value are left out. */
function parseAccept(accept: string): MediaRange[] {
  return accept.split(",").flatMap((element) => {
    const [, ...parameters] = element.split(";");
    const weight = parameters.map((parameter) => parameter.trim().toLowerCase()).find((text) => text.startsWith("q="));
    const text = weight?.slice(2) ?? "1";
    return RFC9110_QVALUE.test(text) ? [{ range: mediaTypeOf(element), quality: Number(text) }] : [];
  });
}

/** The most precise range that covers the encoding decides, whatever less precise ones say. */
function rankOf(encoding: Encoding, ranges: readonly MediaRange[]): Rank {
  let rank: Rank = { quality: 0, precision: 0 };
  for (const { range, quality } of ranges) {
    const precision = precisionOf(range, encoding);
    const isBetter = precision > rank.precision || (precision === rank.precision && quality > rank.quality);
    if (precision > 0 && isBetter) rank = { quality, precision };
  }
  return rank;
}

function precisionOf(range: string, encoding: Encoding): number {
  if (ENCODINGS_BY_MEDIA_TYPE.get(range) === encoding) return 3;
  if (range === "application/*") return 2;
  return range === "*/*" ? 1 : 0;
}

/** The type without its parameters, lower-case. */
function mediaTypeOf(header: string): string {
  return (header.split(";", 1)[0] ?? "").trim().toLowerCase();
}
