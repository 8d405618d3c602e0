import { join } from "node:path";
import type { Config } from "../../config.ts";
import { tryRelay } from "../../mail/smtp.ts";
import { DeliveryError } from "../../mail/transport.ts";
import { type Finding, ok, problem, warning } from "./check.ts";

/** Shorter than for mails, which nobody watches. */
const TIMEOUTS = { connectMs: 5_000, silenceMs: 5_000, attemptMs: 10_000 };

/** Connects to the relay as for a mail, encrypts, logs in, and sends nothing. */
export async function checkMail({ smtp, dataDir, database }: Config, timeouts = TIMEOUTS): Promise<readonly Finding[]> {
  if (!smtp) {
    const text = `no relay is set, so mails, passcodes included, become files in ${join(dataDir, "outbox")}. Set ENTRIES_SMTP_ADDRESS to send them.`;
    return database.kind === "external" ? [] : [warning(text)]; // with an external one, the configuration warns of it
  }
  const relay = `${smtp.host}:${smtp.port}`;
  try {
    await tryRelay(smtp, timeouts);
    const login = smtp.username ? "accepts the login" : "was asked without a login";
    return [ok(`${relay} answers (${smtp.security}) and ${login}.`)];
  } catch (error) {
    if (!(error instanceof DeliveryError)) throw error;
    return [problem(`${relay} ${adviceFor(error)}`)];
  }
}

/** Codes and our own words only: a relay's answer may repeat what was sent to it. */
function adviceFor({ fields }: DeliveryError): string {
  const code = String(fields.error);
  const smtpCode = fields.smtp_code === undefined ? "" : `, answer ${fields.smtp_code}`;
  const advice = ADVICE.find(([codes]) => codes.test(code))?.[1];
  return `${advice ?? "cannot be used. Check ENTRIES_SMTP_ADDRESS and its companions."} (${code}${smtpCode})`;
}

const ADVICE: readonly (readonly [codes: RegExp, advice: string])[] = [
  [/^EAUTH$/, "refuses the login. Check ENTRIES_SMTP_USERNAME and ENTRIES_SMTP_PASSWORD."],
  [/^ENOAUTH$/, "offers no login that this server knows. Check ENTRIES_SMTP_USERNAME and ENTRIES_SMTP_SECURITY."],
  [/^(EDNS|ENOTFOUND|EAI_AGAIN)$/, "is a name that cannot be looked up. Check ENTRIES_SMTP_ADDRESS."],
  [/^ECONNREFUSED$/, "takes no connections. Check ENTRIES_SMTP_ADDRESS and ENTRIES_SMTP_PORT."],
  [
    /^(ETIMEDOUT|ECONNECTION|ECONNRESET|ABORT_ERR)$/,
    "does not answer in time. Does a firewall stand between, or does ENTRIES_SMTP_SECURITY not fit ENTRIES_SMTP_PORT?",
  ],
  [
    /CERT|ALTNAME|SIGNATURE|SELF_SIGNED/,
    "has a certificate that is not trusted for its name. Check ENTRIES_SMTP_ADDRESS, or set ENTRIES_SMTP_CA_FILE.",
  ],
  [/TLS|SSL|^EPROTO/, "does not encrypt as asked. Check ENTRIES_SMTP_SECURITY."],
];
