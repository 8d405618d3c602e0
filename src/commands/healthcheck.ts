/** `healthcheck`: whether a server is ready, for containers, whose images have no curl. */
import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import type { Config } from "../config.ts";
import { complain, print, STATUS_FAILURE, STATUS_OK, UsageError } from "./command.ts";

/** For everything together: connecting, and the answer to its end. */
const LIMIT_MS = 5_000;
/** Of an answer, no more is read. */
const ANSWER_BYTES_MAX = 4_096;

/** What stands for every address of this machine, and one of them. */
const LOOPBACK_OF: Readonly<Record<string, string>> = { "0.0.0.0": "127.0.0.1", "::": "::1" };

export interface Readiness {
  isReady: boolean;
  /** It is a server of ours that answered. */
  isOurs: boolean;
  /** "ready", or why not. */
  text: string;
}

/** @returns the exit status: 0 when the server is ready */
export async function healthcheck(target: Config | { url: string }): Promise<number> {
  const url = "url" in target ? readinessUrl(target.url) : ownUrl(target);
  const { isReady, text } = await askReadiness(url, "url" in target);
  if (isReady) return print(`${text}\n`, STATUS_OK);
  complain([`entries-server: ${url} ${text}`]);
  return STATUS_FAILURE;
}

/**
 * Where the server of these settings answers on this machine.
 *
 * @throws UsageError when its port is not known before it starts
 */
export function ownUrl({ bindAddress, port, tls }: Pick<Config, "bindAddress" | "port" | "tls">): string {
  if (port === 0) throw new UsageError("with port 0 nobody knows where the server listens; name it with --url");
  const address = LOOPBACK_OF[bindAddress] ?? bindAddress;
  const host = address.includes(":") ? `[${address}]` : address;
  return `${tls ? "https" : "http"}://${host}:${port}/readyz`;
}

function readinessUrl(url: string): string {
  const { pathname } = new URL(url);
  return pathname === "/" ? `${url.replace(/\/$/, "")}/readyz` : url;
}

/**
 * Asks a server whether it is ready; takes 5 seconds at most and never throws. No proxy of the environment is asked.
 *
 * @param checksCertificate false for this machine, where the certificate's name is not the one that was asked
 */
export async function askReadiness(url: string, checksCertificate: boolean, limitMs = LIMIT_MS): Promise<Readiness> {
  try {
    const { status, body } = await get(url, checksCertificate, AbortSignal.timeout(limitMs));
    const { state, reason } = readAnswer(body);
    const isOurs = state === "ready" || state === "not ready";
    if (status === 200 && state === "ready") return { isReady: true, isOurs, text: "ready" };
    return { isReady: false, isOurs, text: `answered ${status}${reason === "" ? "" : `: ${reason}`}` };
  } catch (error) {
    return { isReady: false, isOurs: false, text: `did not answer: ${failureOf(error, limitMs)}` };
  }
}

function get(url: string, rejectUnauthorized: boolean, signal: AbortSignal): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const request = url.startsWith("https:") ? httpsRequest : httpRequest;
    const sent = request(url, { agent: false, rejectUnauthorized, signal }, (answer) => {
      readBody(answer).then((body) => resolve({ status: answer.statusCode ?? 0, body }), reject);
    });
    sent.on("error", reject);
    signal.addEventListener("abort", () => reject(signal.reason));
    sent.end();
  });
}

async function readBody(answer: IncomingMessage): Promise<string> {
  let body = "";
  answer.setEncoding("utf8");
  for await (const chunk of answer) {
    body += chunk;
    if (body.length > ANSWER_BYTES_MAX) break;
  }
  return body;
}

/** What /readyz says; empty texts when it is something else. */
function readAnswer(body: string): { state: string; reason: string } {
  try {
    const { status, reason } = JSON.parse(body) as { status?: unknown; reason?: unknown };
    const asText = (value: unknown) => (typeof value === "string" ? value : "");
    return { state: asText(status), reason: asText(reason) };
  } catch {
    return { state: "", reason: "" };
  }
}

function failureOf(error: unknown, limitMs: number): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "TimeoutError" || error.name === "AbortError") return `nothing within ${limitMs / 1000} s`;
  return "code" in error ? String(error.code) : error.message;
}
