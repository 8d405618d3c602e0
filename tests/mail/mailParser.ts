/** A reader of mails for tests: RFC 5322 with one level of multipart (RFC 2046). */

export interface ParsedPart {
  /** By lower-case name; several fields of one name are joined by a line break. */
  headers: Map<string, string>;
  body: string;
}

export interface ParsedMail extends ParsedPart {
  parts: ParsedPart[];
}

/** Parts come decoded. */
export function parseMail(content: string): ParsedMail {
  const whole = parsePart(content);
  const boundary = /boundary="([^"]+)"/.exec(whole.headers.get("content-type") ?? "")?.[1];
  if (boundary === undefined) return { ...whole, parts: [] };
  const pieces = whole.body.split(`--${boundary}`).slice(1, -1);
  return { ...whole, parts: pieces.map((piece) => decode(parsePart(piece.replace(/^\r\n|\r\n$/g, "")))) };
}

function parsePart(content: string): ParsedPart {
  const end = content.indexOf("\r\n\r\n");
  const headers = new Map<string, string>();
  for (const field of content.slice(0, end).split(/\r\n(?![ \t])/)) {
    const name = field.slice(0, field.indexOf(":")).toLowerCase();
    const value = field
      .slice(field.indexOf(":") + 1)
      .replace(/\r\n/g, "")
      .trim();
    headers.set(name, [headers.get(name), value].filter((text) => text !== undefined).join("\n"));
  }
  return { headers, body: content.slice(end + 4) };
}

function decode(part: ParsedPart): ParsedPart {
  const encoding = part.headers.get("content-transfer-encoding") ?? "7bit";
  if (encoding === "7bit") return part;
  if (encoding === "base64") return { ...part, body: Buffer.from(part.body, "base64").toString("utf8") };
  if (encoding !== "quoted-printable") throw new Error(`a part is encoded as ${encoding}`);
  const bytes = part.body
    .replace(/=\r\n/g, "")
    .replace(/=([0-9A-F]{2})/g, (_all, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return { ...part, body: Buffer.from(bytes, "latin1").toString("utf8") };
}
