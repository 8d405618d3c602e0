import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Config } from "../../config.ts";
import { requireFreePort } from "../../run/listener.ts";
import { askReadiness, ownUrl } from "../healthcheck.ts";
import { type Finding, ok, problem, warning } from "./check.ts";

const LOOPBACK = /^(localhost|127\..*|\[?::1\]?)$/i;
const DAY_MS = 86_400_000;
const CERTIFICATE_WARNING_DAYS = 14;

/** What clients are told, and whom the server believes where they come from. */
export function checkAddress(config: Config): readonly Finding[] {
  const findings = [...checkPublicUrl(config), ...checkProxies(config), ...checkCertificate(config)];
  return findings.length === 0 ? [ok(`clients reach this server at ${config.publicUrl}.`)] : findings;
}

function checkPublicUrl({ publicUrl, bindAddress, tls }: Config): Finding[] {
  const { hostname, protocol } = new URL(publicUrl);
  const isLocal = LOOPBACK.test(hostname);
  if (isLocal && !LOOPBACK.test(bindAddress)) {
    return [warning(`ENTRIES_PUBLIC_URL is ${publicUrl}, so links in mails work on this machine only. Set it.`)];
  }
  if (protocol === "http:" && !isLocal) {
    return [
      warning(
        `${publicUrl} is not encrypted: passwords and links can be read on the way. Use HTTPS and set ENTRIES_PUBLIC_URL.`,
      ),
    ];
  }
  if (protocol === "https:" && !tls && !LOOPBACK.test(bindAddress)) {
    return [
      warning(
        `${bindAddress} is open to the network without encryption. Let only your proxy reach it, or set ENTRIES_TLS_CERT_FILE.`,
      ),
    ];
  }
  return [];
}

function checkProxies({ trustedProxies }: Config): Finding[] {
  if (!trustedProxies.some(({ bits }) => bits === 0)) return [];
  return [
    problem(
      "ENTRIES_TRUSTED_PROXIES trusts everybody, so anybody can pretend any address and escape the limits. Name your proxies only.",
    ),
  ];
}

/** That it can be used, and has not expired, the configuration's check says. */
function checkCertificate({ tls, publicUrl }: Config): Finding[] {
  if (!tls) return [];
  const certificate = new X509Certificate(readFileSync(tls.certFile));
  const daysLeft = Math.floor((Date.parse(certificate.validTo) - Date.now()) / DAY_MS);
  const host = new URL(publicUrl).hostname.replace(/^\[|\]$/g, "");
  const isForHost = certificate.checkHost(host) !== undefined || certificate.checkIP(host) !== undefined;
  return [
    ...(daysLeft >= 0 && daysLeft < CERTIFICATE_WARNING_DAYS
      ? [warning(`the certificate expires in ${daysLeft} days. Renew it, then send the server a SIGHUP.`)]
      : []),
    ...(isForHost
      ? []
      : [problem(`the certificate in ${tls.certFile} is not for ${host}, the host of ENTRIES_PUBLIC_URL.`)]),
  ];
}

/** Whether the port is free or has our server on it. */
export async function checkPort(config: Config): Promise<readonly Finding[]> {
  const { port } = config;
  if (port === 0) return [ok("a free one is taken at each start.")];
  try {
    requireFreePort(config);
    return [ok(`${port} is free.`)];
  } catch (error) {
    const { isOurs, isReady, text } = await askReadiness(ownUrl(config), false);
    if (isReady) return [ok(`a server runs on ${port} and is ready.`)];
    if (isOurs) return [problem(`a server runs on ${port}, but it ${text}.`)];
    return [problem(error instanceof Error ? error.message : String(error))];
  }
}
