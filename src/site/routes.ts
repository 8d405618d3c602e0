/** What a browser gets to see: the front page, the page of the API's description, and what they are made of. */

import libraryStylePath from "swagger-ui-dist/swagger-ui.css" with { type: "file" };
import libraryPath from "swagger-ui-dist/swagger-ui-bundle.js" with { type: "file" };
import { version } from "../../package.json";
import { storedAnswer } from "../http/storedAnswer.ts";
import docsStyle from "./docs.css" with { type: "text" };
import { ASSETS, DOCS_POLICY, docsHtml } from "./docsPage.ts";
import favicon from "./favicon.svg" with { type: "text" };
import { FRONT_POLICY, frontHtml } from "./frontPage.ts";
import docsScript from "./startDocs.js" with { type: "text" };

const PAGE_TYPE = "text/html; charset=utf-8";
const SCRIPT_TYPE = "text/javascript; charset=utf-8";
const STYLE_TYPE = "text/css; charset=utf-8";

export const siteRoutes = [
  storedAnswer({
    path: "/",
    summary: "The front page: what this server is.",
    contentType: PAGE_TYPE,
    headers: { "content-security-policy": FRONT_POLICY },
    load: () => frontHtml(version),
  }),

  storedAnswer({
    path: "/favicon.svg",
    summary: "The mark in the browser's tab.",
    contentType: "image/svg+xml",
    headers: { "content-security-policy": "default-src 'none'" },
    load: () => favicon,
  }),

  storedAnswer({
    path: "/docs",
    summary: "The page that shows this description and tries calls.",
    contentType: PAGE_TYPE,
    headers: { "content-security-policy": DOCS_POLICY },
    load: () => docsHtml,
  }),

  storedAnswer({
    path: ASSETS.library,
    summary: "The library of that page.",
    contentType: SCRIPT_TYPE,
    load: () => Bun.file(libraryPath).bytes(),
  }),

  storedAnswer({
    path: ASSETS.libraryStyle,
    summary: "The looks of that library.",
    contentType: STYLE_TYPE,
    load: () => Bun.file(libraryStylePath).bytes(),
  }),

  storedAnswer({
    path: ASSETS.script,
    summary: "What that page does at its start.",
    contentType: SCRIPT_TYPE,
    load: () => docsScript,
  }),

  storedAnswer({
    path: ASSETS.style,
    summary: "The looks of that page.",
    contentType: STYLE_TYPE,
    load: () => docsStyle,
  }),
];
