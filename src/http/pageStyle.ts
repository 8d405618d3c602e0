/** How pages look: light and dark, from 320 pixels on. No fonts, pictures or anything else is loaded. */
import { html } from "../html.ts";

/** The text of the one style element, exactly as the Content-Security-Policy's hash covers it. */
export const FRAME_STYLE = html`
:root {
  color-scheme: light dark;
  --ground: #f4f3ef; --card: #ffffff; --line: #dcd9d0;
  --text: #1f2328; --soft: #59616b;
  --plain: #1f5fbf; --dangerous: #b3261e; --on-button: #ffffff; --focus: #1d4ed8;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #131519; --card: #1c1f25; --line: #343943;
    --text: #eceef1; --soft: #aab2bd;
    --plain: #9cc2ff; --dangerous: #ffb1a6; --on-button: #16181d; --focus: #c4dbff;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; min-height: 100vh; display: grid; place-items: center;
  padding: clamp(16px, 5vw, 48px);
  background: var(--ground); color: var(--text);
  font: 1.0625rem/1.55 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
main {
  width: 100%; max-width: 34rem; padding: clamp(20px, 6vw, 40px);
  background: var(--card); border: 1px solid var(--line); border-radius: 16px;
  overflow-wrap: anywhere;
}
.app { margin: 0 0 1.25rem; color: var(--soft); font-size: 0.875rem; font-weight: 600; letter-spacing: 0.02em; }
h1 { margin: 0 0 1rem; font-size: 1.625rem; line-height: 1.25; text-wrap: balance; }
p { margin: 0 0 1rem; }
.address {
  padding: 0.6rem 1rem; border: 1px solid var(--line); border-radius: 10px;
  background: var(--ground); font-weight: 600;
}
main > :last-child { margin-bottom: 0; }
form { margin: 1.75rem 0 0; }
button {
  min-height: 48px; padding: 0.6rem 1.5rem; border: 1px solid transparent; border-radius: 10px;
  color: var(--on-button); font: inherit; font-weight: 600; cursor: pointer;
}
.plain { background: var(--plain); }
.dangerous { background: var(--dangerous); }
.aside { margin-top: 1.25rem; color: var(--soft); font-size: 0.9375rem; }
button:hover { filter: brightness(1.08); }
button:focus-visible { outline: 3px solid var(--focus); outline-offset: 3px; }
@media (max-width: 30rem) { button { width: 100%; } }
`;
