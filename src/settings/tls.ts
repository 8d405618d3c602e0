/** The certificate for HTTPS and its key, as the operator's files hold them (decision P12). */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";

export interface TlsFiles {
  certFile: string;
  keyFile: string;
}

export interface TlsPair {
  /** PEM: the certificate, and those between it and its authority. */
  cert: string;
  /** PEM. */
  key: string;
  /** Why browsers refuse it although it can be used: one sentence, or undefined. */
  doubt: string | undefined;
}

/** The files cannot be used. The message is a sentence for the operator and names the file. */
export class TlsFileError extends Error {
  override readonly name = "TlsFileError";
}

/**
 * Reads a certificate and its key and checks that they belong together.
 *
 * @param now milliseconds since the epoch
 * @throws TlsFileError
 */
export function readTlsPair({ certFile, keyFile }: TlsFiles, now: number = Date.now()): TlsPair {
  const cert = readPem(certFile);
  const key = readPem(keyFile);
  const certificate = parseCertificate(cert, certFile);
  if (!certificate.checkPrivateKey(parseKey(key, keyFile))) {
    throw new TlsFileError(`The key in ${keyFile} is not the key of the certificate in ${certFile}.`);
  }
  return { cert, key, doubt: doubtOf(certificate, certFile, now) };
}

function readPem(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const reason = error instanceof Error && "code" in error ? String(error.code) : "unknown error";
    throw new TlsFileError(`Cannot read the file ${path} (${reason}).`);
  }
}

/** The first certificate of the file; clients are shown it first. */
function parseCertificate(pem: string, path: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch {
    throw new TlsFileError(`${path} holds no certificate in PEM form (-----BEGIN CERTIFICATE-----).`);
  }
}

function parseKey(pem: string, path: string): KeyObject {
  if (/ENCRYPTED/.test(pem)) throw new TlsFileError(`The key in ${path} is protected by a passphrase; take that off.`);
  try {
    return createPrivateKey(pem);
  } catch {
    throw new TlsFileError(`${path} holds no private key in PEM form (-----BEGIN PRIVATE KEY-----).`);
  }
}

function doubtOf({ validFrom, validTo }: X509Certificate, path: string, now: number): string | undefined {
  if (now >= Date.parse(validTo)) return `The certificate in ${path} expired on ${dayOf(validTo)}; clients refuse it.`;
  if (now < Date.parse(validFrom)) return `The certificate in ${path} is valid from ${dayOf(validFrom)} on only.`;
  return undefined;
}

function dayOf(date: string): string {
  return new Date(date).toISOString().slice(0, 10);
}
