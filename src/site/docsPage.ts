/** The page of /docs: swagger-ui over this server's own description. Everything it needs is in the executable. */
import { html } from "../html.ts";

/** Below the page's own path, whatever a proxy put before that. */
export const ASSETS = {
  library: "/docs/swagger-ui-bundle.js",
  libraryStyle: "/docs/swagger-ui.css",
  script: "/docs/start.js",
  style: "/docs/docs.css",
} as const;

const relative = (path: string) => path.slice(1);

export const docsHtml = html`<!doctype html>
<html lang="en" data-description="openapi.json">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>API of entries-server</title>
<link rel="icon" href="favicon.svg" type="image/svg+xml">
<link rel="stylesheet" href="${relative(ASSETS.libraryStyle)}">
<link rel="stylesheet" href="${relative(ASSETS.style)}">
</head>
<body>
<p class="home"><a href="./"><img src="favicon.svg" alt="">entries-server</a></p>
<div id="description"></div>
<noscript>This page needs JavaScript. The description itself is at <a href="openapi.json">openapi.json</a>.</noscript>
<script src="${relative(ASSETS.library)}"></script>
<script src="${relative(ASSETS.script)}"></script>
</body>
</html>
`.text;

/** Calls go to this server only. */
export const DOCS_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'";
