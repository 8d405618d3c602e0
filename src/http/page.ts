/**
 * Pages for people who follow a link in a mail (decision A11): HTML without script that asks for nothing from elsewhere.
 * The link's token is all that a page goes by; it reads no cookies. Its errors are pages too.
 */
import { createHash } from "node:crypto";
import { ApiError } from "../errors.ts";
import { Html, html } from "../html.ts";
import type { Services } from "../services.ts";
import { readBody } from "./body.ts";
import { type Endpoint, type Incoming, type Parameter, queryOf } from "./endpoint.ts";
import type { LimitClass } from "./limits.ts";
import { FRAME_STYLE } from "./pageStyle.ts";

/** What a person gets to see. */
export interface Page {
  /** 200 unless given. */
  status?: number;
  /** The heading, also the title of the tab. */
  title: string;
  /** The paragraphs and forms below it. */
  blocks: readonly Html[];
}

export interface PageSpec {
  method: "GET" | "POST";
  path: `/${string}`;
  /** One sentence that says what it does. */
  summary: string;
  limit: LimitClass;
  /** Names that the link's query may have for the token; `token` unless given. Forms always have `token`. */
  tokenParameters?: readonly string[];
}

export interface PageContext {
  services: Services;
  /** As the link or the form has it. Empty, and so not valid, when the link has none or several. */
  token: string;
}

const FORM_TYPE = "application/x-www-form-urlencoded";
/** A token has at most 8192 characters, of which none needs to be escaped but the padding. */
const FORM_BYTES_MAX = 16 * 1024;
const APP_NAME = "Entries App";

const STYLE_HASH = createHash("sha256").update(FRAME_STYLE.text).digest("base64");

const PAGE_HEADERS = {
  "content-type": "text/html; charset=utf-8",
  "content-security-policy": `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'`,
};

/**
 * Declares a page as an endpoint. A GET changes nothing, since scanners of mail follow links; a POST reads a form with
 * the field `token`.
 *
 * @param show makes the page; a token's refusal may go through it (`refusalPage` has the words)
 */
export function page(spec: PageSpec, show: (context: PageContext) => Promise<Page>): Endpoint {
  const { tokenParameters = ["token"], ...rest } = spec;
  const query = spec.method === "GET" ? linkQuery(tokenParameters) : {};

  async function run(incoming: Incoming): Promise<Response> {
    const { services, request } = incoming;
    const token = spec.method === "POST" ? await readTokenField(incoming) : tokenOfLink(request, tokenParameters);
    return pageResponse(await show({ services, token }));
  }

  return { spec: { ...rest, query, tokens: {}, answers: "page" }, run };
}

function linkQuery(names: readonly string[]): Record<string, Parameter> {
  const parameter = { description: "The token of the link that was mailed." };
  return Object.fromEntries(names.map((name) => [name, parameter]));
}

function tokenOfLink(request: Request, names: readonly string[]): string {
  const query = queryOf(request);
  const [token, ...more] = names.flatMap((name) => query.getAll(name));
  return more.length === 0 ? (token ?? "") : "";
}

/** @throws ApiError PREHANDLER 400 when it is no form or `token` is not in it exactly once, 413 over 16 KiB */
async function readTokenField({ request, onBodyProgress }: Incoming): Promise<string> {
  const [mediaType = ""] = (request.headers.get("content-type") ?? "").split(";");
  if (mediaType.trim().toLowerCase() !== FORM_TYPE) {
    throw new ApiError("PREHANDLER", `This page reads only forms: the Content-Type must be ${FORM_TYPE}.`);
  }
  const bytes = await readBody(request, FORM_BYTES_MAX, onBodyProgress);
  const [token, ...more] = new URLSearchParams(new TextDecoder().decode(bytes)).getAll("token");
  if (token === undefined || more.length > 0) {
    throw new ApiError("PREHANDLER", "The form must have the field token, exactly once.");
  }
  return token;
}

/** Plain text as one paragraph of a page. */
export function paragraph(text: string): Html {
  return html`<p>${text}</p>`;
}

/** An e-mail address on a line of its own. */
export function addressLine(email: string): Html {
  return html`<p class="address">${email}</p>`;
}

/**
 * A form with one button that sends the link's token to the page's own path, whatever a proxy put before that.
 *
 * @param looks.isDangerous for what cannot be undone
 */
export function tokenForm(token: string, button: string, looks: { isDangerous?: boolean } = {}): Html {
  return html`<form method="post" action="?">
<input type="hidden" name="token" value="${token}">
<button class="${looks.isDangerous ? "dangerous" : "plain"}">${button}</button>
</form>`;
}

/** For a token that is good, but not for what the account has become since. */
export const VOID_LINK: Page = {
  status: 400,
  title: "This link is no longer valid",
  blocks: [
    paragraph("It was used already, or what it was for has been cancelled or changed since."),
    paragraph("Nothing was changed. If you still want it, start again in the app: you will get a new mail."),
  ],
};

/** The page instead of an error's message, with the same headers. What is wrong with a link's token is 400. */
export function refusalPage(refusal: ApiError): Response {
  const response = pageResponse(pageOf(refusal));
  for (const [name, text] of Object.entries(refusal.headers)) response.headers.set(name, text);
  return response;
}

const TITLES: Record<number, string> = {
  413: "That is too much",
  429: "Too many requests",
  503: "Not possible right now",
};

function pageOf({ type, status, message, headers }: ApiError): Page {
  if (type === "TOKEN_EXPIRED") {
    return {
      status: 400,
      title: "This link has expired",
      blocks: [
        paragraph("Links in our mails work for a limited time only. Nothing was changed."),
        paragraph("If you still want it, start again in the app: you will get a new mail."),
      ],
    };
  }
  if (type === "INCORRECT_CREDENTIAL" || type === "WRONG_TOKEN_TYPE") {
    return {
      status: 400,
      title: "This link is not valid",
      blocks: [
        paragraph("It may have been cut off or changed on its way. Nothing was changed."),
        paragraph("Open the whole link from the mail, or start again in the app: you will get a new mail."),
      ],
    };
  }
  if (type === "INTERNAL_ERROR") {
    const advice = "Sorry, something went wrong on our side. Please try again in a few hours.";
    return { status, title: "This did not work", blocks: [paragraph(advice)] };
  }
  const waitSecs = Number(headers["retry-after"] ?? 0);
  const blocks = [paragraph(message)];
  if (waitSecs > 0) blocks.push(paragraph(`Please wait ${inWords(waitSecs)}, then load this page again.`));
  return { status, title: TITLES[status] ?? "This did not work", blocks };
}

function inWords(secs: number): string {
  if (secs > 90) return `${Math.ceil(secs / 60)} minutes`;
  return secs === 1 ? "1 second" : `${secs} seconds`;
}

function pageResponse({ status = 200, title, blocks }: Page): Response {
  const heading = [html`<p class="app">${APP_NAME}</p>`, html`<h1>${title}</h1>`];
  const text = documentHtml({ title, style: FRAME_STYLE, main: [...heading, ...blocks] });
  return new Response(text, { status, headers: PAGE_HEADERS });
}

export interface DocumentParts {
  /** Of the tab. */
  title: string;
  /** The text of the one style element. */
  style: Html;
  /** What else is in the head. */
  head?: Html;
  main: readonly Html[];
}

/** A whole HTML document, as all pages are. */
export function documentHtml({ title, style, head = new Html(""), main }: DocumentParts): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>${title}</title>${head}
<style>${style}</style>
</head>
<body>
<main>
${main}
</main>
</body>
</html>
`.text;
}
