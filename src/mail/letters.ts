import { escapeHtml } from "./html.ts";

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

const APP_NAME = "Entries App";

/**
 * The letter with a one-time passcode (accounts.md 4.2).
 *
 * @param args.otp 8 digits
 * @param args.lifetime_mins how long the code is valid; parts of a minute are not mentioned
 */
export function otpLetter(args: { to: string; otp: string; lifetime_mins: number; app_name?: string }): Letter {
  const { to, otp, lifetime_mins, app_name = APP_NAME } = args;
  const code = `${otp.slice(0, 4)} ${otp.slice(4)}`;
  const mins = Math.floor(lifetime_mins);
  const validity = `This code is valid for ${mins} ${mins === 1 ? "minute" : "minutes"} and works once.`;
  const warning = ["We never ask for this code by phone or by e-mail.", "Whoever does is trying to get into your account."];
  const surprise = ["You did not ask for a code? Then leave it unused, and if you have", "an account, change its password."];
  const heading = `Your ${app_name} verification code`;
  return {
    to,
    subject: `Your one-time passcode for ${app_name}`,
    text: [heading, `    ${code}`, validity, warning.join("\n"), surprise.join("\n")].join("\n\n").concat("\n"),
    html: htmlLetter(heading, [codeBox(code), validity, warning.join("\n"), surprise.join("\n")].map(escapeUnlessBox)),
    usefulForMs: lifetime_mins * 60_000,
  };
}
