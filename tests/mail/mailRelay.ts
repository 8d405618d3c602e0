/** A real SMTP server on loopback for the mail tests. */
import { readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { SMTPServer, type SMTPServerDataStream, type SMTPServerOptions } from "smtp-server";

const CERTIFICATES = join(import.meta.dir, "certificates");

/**
 * Certificates for these tests alone, valid until 2099: an authority, one for localhost and 127.0.0.1, and one for
 * another host name.
 */
export const caFile = join(CERTIFICATES, "test-only-ca.pem");

export interface ReceivedMail {
  to: string[];
  isSecure: boolean;
  user: unknown;
  connectionId: string;
  content: string;
}

export interface TestRelay {
  port: number;
  /** Every mail whose content arrived whole, also when the answer was an error. */
  received: ReceivedMail[];
  close(): Promise<void>;
}

/** An answer of the relay that is not 250. */
export function smtpError(responseCode: number, message: string): Error {
  return Object.assign(new Error(message), { responseCode });
}

export interface RelayOptions extends SMTPServerOptions {
  certificate?: "localhost" | "elsewhere";
  port?: number;
  /** What to answer to a mail, by the number of mails before it. */
  answer?: (received: number) => Error | null;
}

export async function startRelay({
  certificate = "localhost",
  port = 0,
  answer = () => null,
  ...options
}: RelayOptions = {}): Promise<TestRelay> {
  const received: ReceivedMail[] = [];
  const keyAndCertificate = readFileSync(join(CERTIFICATES, `test-only-${certificate}.pem`));
  const server = new SMTPServer({
    key: keyAndCertificate,
    cert: keyAndCertificate,
    authOptional: true,
    disableReverseLookup: true,
    closeTimeout: 100,
    onData(stream, session, callback) {
      readAll(stream).then((content) => {
        const to = session.envelope.rcptTo.map(({ address }) => address);
        const { secure: isSecure, user, id: connectionId } = session;
        callback(answer(received.push({ to, isSecure, user, connectionId, content }) - 1));
      }, callback);
    },
    ...options,
  });
  server.on("error", () => {}); // clients that break off a handshake are what some tests are about
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", () => resolve()));
  return {
    port: (server.server.address() as AddressInfo).port,
    received,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

async function readAll(stream: SMTPServerDataStream): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks).toString("utf8");
}
