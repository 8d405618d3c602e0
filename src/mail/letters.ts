import { escapeHtml } from "../html.ts";

/** A mail before it has a sender, a date and an id. */
export interface Letter {
  /** One address, without a display name. */
  to: string;
  /** One line. */
  subject: string;
  text: string;
  /** A whole document, with inline styles only. Values in it went through `escapeHtml`. */
  html: string;
  /** Milliseconds from `send` on after which the letter is of no use and is not sent any more. Default: no end. */
  usefulForMs?: number;
}

const MS_PER_MINUTE = 60_000;

/**
 * The letter with a one-time passcode (accounts.md 4.2). It is of no use once the passcode has expired.
 *
 * @param args.otp 8 digits
 * @param args.lifetime_mins how long the passcode is valid; the letter says whole minutes
 * @param args.app_name default: Entries App
 */
export function otpLetter(args: { to: string; otp: string; lifetime_mins: number; app_name?: string }): Letter {
  const { to, otp, lifetime_mins, app_name = "Entries App" } = args;
  const heading = `Your verification code for ${app_name}`;
  const code = `${otp.slice(0, 4)} ${otp.slice(4)}`;
  const mins = Math.floor(lifetime_mins);
  // Short lines of ASCII travel unencoded, so that a file in the outbox can be read as it is.
  const advice = [
    `The code is valid for ${mins} ${mins === 1 ? "minute" : "minutes"} and can be used once.`,
    "We never ask for this code by phone or by e-mail.\nAnyone who does is not from us: do not tell it to them.",
    "You did not ask for a code? Then do not use it, and if you have\nan account here, change its password.",
  ];
  return {
    to,
    subject: `Your one-time passcode for ${app_name}`,
    text: `${[heading, `    ${code}`, ...advice].join("\n\n")}\n`,
    html: htmlLetter(heading, [codeBox(code), ...advice.map(paragraph)]),
    usefulForMs: lifetime_mins * MS_PER_MINUTE,
  };
}

/**
 * The frame of every HTML part. It sets no colours for text and background, so that a mail reader's light or dark
 * theme stays as it is, and asks for nothing from elsewhere.
 *
 * @param heading plain text
 * @param blocks HTML, values in it already escaped
 */
export function htmlLetter(heading: string, blocks: readonly string[]): string {
  const title = escapeHtml(heading);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<meta name="format-detection" content="telephone=no">
<title>${title}</title>
</head>
<body style="margin:0; padding:24px 16px; color-scheme:light dark;
  font-family:system-ui,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;
  font-size:16px; line-height:1.5">
<div style="max-width:32em; margin:0 auto">
<h1 style="margin:0 0 16px; font-size:20px; line-height:1.3">
${title}
</h1>
${blocks.join("\n")}
</div>
</body>
</html>
`;
}

/** Plain text as one block of an HTML part. */
export function paragraph(text: string): string {
  return `<p style="margin:0 0 16px">\n${escapeHtml(text)}\n</p>`;
}

/** A link as one block of an HTML part, spelt out, so that its reader sees where it leads. */
export function linkBlock(url: string): string {
  const escaped = escapeHtml(url);
  return `<p style="margin:0 0 16px; overflow-wrap:anywhere">
<a href="${escaped}" rel="nofollow">${escaped}</a>
</p>`;
}

/** A code in large fixed-width characters; one click or touch selects all of it. */
function codeBox(code: string): string {
  return `<p style="margin:0 0 16px; padding:16px 8px; text-align:center;
  border:1px solid #888888; border-radius:8px">
<code style="font-family:ui-monospace,Menlo,Consolas,monospace;
  font-size:28px; font-weight:bold; line-height:1.2; letter-spacing:2px;
  white-space:nowrap; -webkit-user-select:all; user-select:all"
>${escapeHtml(code)}</code>
</p>`;
}
