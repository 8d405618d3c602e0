/** The page at `/`, for people who open the server's address in a browser. */
import { createHash } from "node:crypto";
import { html } from "../html.ts";
import { documentHtml } from "../http/page.ts";
import { FRAME_STYLE } from "../http/pageStyle.ts";

const STYLE = html`${FRAME_STYLE}
main { max-width: 40rem; }
.mark { display: block; width: 56px; height: 56px; margin: 0 0 1.25rem; }
h1 { margin: 0 0 0.5rem; font-size: clamp(1.75rem, 6vw, 2.25rem); letter-spacing: -0.015em; }
.lead { color: var(--soft); font-size: 1.1875rem; text-wrap: pretty; }
.fact { margin: 1.75rem 0; padding: 0.25rem 0 0.25rem 1.125rem; border-left: 3px solid var(--plain); }
.fact p { margin: 0.25rem 0 0; }
h2 { margin: 0; font-size: 1.0625rem; line-height: 1.4; }
ul { list-style: none; margin: 0 0 1.75rem; padding: 0; border-top: 1px solid var(--line); }
li { border-bottom: 1px solid var(--line); }
li a {
  display: flex; flex-wrap: wrap; gap: 0 1rem; align-items: baseline; justify-content: space-between;
  padding: 0.875rem 0; color: inherit; text-decoration: none;
}
li b { color: var(--plain); font-weight: 600; }
li a:hover b { text-decoration: underline; text-underline-offset: 3px; }
li span { color: var(--soft); font-size: 0.9375rem; }
a:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; border-radius: 6px; }
footer { display: flex; flex-wrap: wrap; gap: 0.25rem 1.5rem; justify-content: space-between; color: var(--soft); font-size: 0.875rem; }
`;

const STYLE_HASH = createHash("sha256").update(STYLE.text).digest("base64");

export const FRONT_POLICY = `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; img-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'`;

/** Links have no slash in front: a proxy may serve the server below a path of its own. */
export function frontHtml(version: string): string {
  return documentHtml({
    title: "entries-server",
    style: STYLE,
    head: html`<link rel="icon" href="favicon.svg" type="image/svg+xml">`,
    main: [
      html`<img class="mark" src="favicon.svg" alt="" width="56" height="56">`,
      html`<h1>entries-server</h1>`,
      html`<p class="lead">Stores and synchronises the budgets of an end-to-end encrypted app.</p>`,
      html`<section class="fact">
<h2>Only ciphertext is here</h2>
<p>Budgets are encrypted on your devices before they are sent. This server keeps them for you and for those you share them with. It has no key that opens them, and cannot read what is in them.</p>
</section>`,
      html`<ul>
<li><a href="docs"><b>API documentation</b> <span>read it, try calls</span></a></li>
<li><a href="openapi.json"><b>OpenAPI description</b> <span>openapi.json</span></a></li>
<li><a href="schema.proto"><b>Protobuf definitions</b> <span>schema.proto</span></a></li>
</ul>`,
      html`<footer><span>To reach your budgets, open the app.</span><span>Version ${version}</span></footer>`,
    ],
  });
}
