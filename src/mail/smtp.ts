import { readFileSync } from "node:fs";
import { createTransport, type NodemailerError, type SMTPPoolOptions } from "nodemailer";
import type { LogFields } from "../log.ts";
import { DeliveryError, type Transport } from "./transport.ts";

export interface SmtpSettings {
  /** Host name or IP address; the relay's certificate must be made out to it. */
  host: string;
  port: number;
  /** `starttls` refuses a relay without it; `plain` is for a relay on this machine or a network of trust. */
  security: "starttls" | "tls" | "plain";
  /** Missing or empty: no login. */
  username?: string;
  password?: string;
  /** Most connections at the same time. Default 4. */
  maxConnections?: number;
  /** Seconds after which an unused connection is closed. Default 30. */
  idleTimeoutSecs?: number;
  /** File with the certificates (PEM) that may vouch for the relay, instead of the public ones. */
  caFile?: string;
}

/** How long a relay may take, in milliseconds. */
export interface SmtpTimeouts {
  /** To look up its name, connect and greet. */
  connectMs: number;
  /** To say anything at all in a conversation. */
  silenceMs: number;
  /** For one attempt, everything together. */
  attemptMs: number;
}

export const SMTP_TIMEOUTS: SmtpTimeouts = { connectMs: 30_000, silenceMs: 60_000, attemptMs: 120_000 };

const CONNECTIONS = 4;
const IDLE_TIMEOUT_SECS = 30;

/**
 * Sends mails through a relay, over connections that are kept for the next mail. The certificate is always checked.
 *
 * @throws Error that says why `caFile` cannot be used
 */
export function createRelay(settings: SmtpSettings, timeouts: SmtpTimeouts): Transport {
  const pool = createTransport(poolOptions(settings, timeouts));
  const underWay = new Set<AbortController>();
  return {
    parallelMax: settings.maxConnections ?? CONNECTIONS,
    async deliver(message) {
      const attempt = new AbortController();
      const timer = setTimeout(() => attempt.abort(), timeouts.attemptMs);
      underWay.add(attempt);
      try {
        const { response } = await pool.sendMail({ ...message, signal: attempt.signal });
        return { smtp_code: Number.parseInt(response, 10) };
      } catch (error) {
        throw deliveryError(error as NodemailerError);
      } finally {
        clearTimeout(timer);
        underWay.delete(attempt);
      }
    },
    close() {
      for (const attempt of underWay) attempt.abort();
      pool.close();
    },
  };
}

/**
 * Does what comes before a mail: connects, encrypts, logs in.
 *
 * @throws DeliveryError
 * @throws Error that says why `caFile` cannot be used
 */
export async function tryRelay(settings: SmtpSettings, timeouts: SmtpTimeouts): Promise<void> {
  const pool = createTransport(poolOptions(settings, timeouts));
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(Object.assign(new Error(), { code: "ETIMEDOUT" })), timeouts.attemptMs);
  try {
    await Promise.race([pool.verify(), late.promise]);
  } catch (error) {
    throw deliveryError(error as NodemailerError);
  } finally {
    clearTimeout(timer);
    pool.close();
  }
}

function poolOptions(settings: SmtpSettings, timeouts: SmtpTimeouts): SMTPPoolOptions & { pool: true } {
  const { host, port, security, username, password = "" } = settings;
  const { maxConnections = CONNECTIONS, idleTimeoutSecs = IDLE_TIMEOUT_SECS, caFile } = settings;
  return {
    pool: true,
    host,
    port,
    secure: security === "tls",
    requireTLS: security === "starttls",
    ignoreTLS: security === "plain",
    tls: { rejectUnauthorized: true, minVersion: "TLSv1.2", ...(caFile ? { ca: readCertificates(caFile) } : {}) },
    ...(username ? { auth: { user: username, pass: password } } : {}),
    maxConnections,
    idleTimeout: idleTimeoutSecs * 1000,
    maxRequeues: 0, // repeating is the affair of our queue
    connectionTimeout: timeouts.connectMs,
    greetingTimeout: timeouts.connectMs,
    dnsTimeout: timeouts.connectMs,
    socketTimeout: timeouts.silenceMs,
  };
}

function readCertificates(path: string): string {
  const text = readFileSync(path, "utf8");
  if (!text.includes("-----BEGIN CERTIFICATE-----")) throw new Error(`${path} holds no certificate in PEM form.`);
  return text;
}

/**
 * Sorts a failure and keeps of it what the log may know. The relay's own words are left out, because they often repeat
 * the address; of them only the numbers stay.
 */
function deliveryError(error: NodemailerError): DeliveryError {
  const { code = "unknown", originalCode, responseCode, response, command } = error;
  // Without an answer of the relay only a mail that Nodemailer itself refuses is beyond hope.
  const isPermanent = error.permanent ?? (code === "EENVELOPE" || code === "EMESSAGE");
  const fields: LogFields = {
    error: originalCode ?? code,
    step: command,
    smtp_code: responseCode,
    smtp_status: /^\d{3}[ -]([245]\.\d{1,3}\.\d{1,3})\b/.exec(response ?? "")?.[1],
  };
  return new DeliveryError(isPermanent, fields, { cause: error });
}
