import { randomBytes } from "node:crypto";
import { chmodSync, mkdirSync } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { createTransport } from "nodemailer";
import { DeliveryError, type Transport } from "./transport.ts";

/**
 * Writes mails as files into a directory instead of sending them. The files hold passcodes, so only this user may read
 * them. A file appears whole, and names sort by time.
 *
 * @throws Error of the file system when the directory cannot be made
 */
export function createOutbox(directory: string): Transport {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  chmodSync(directory, 0o700);
  const composer = createTransport({ streamTransport: true, buffer: true, newline: "windows" });
  const nextName = fileNames();
  return {
    parallelMax: 1,
    async deliver(message) {
      const name = nextName();
      const path = join(directory, name);
      const unfinishedPath = join(directory, `.${name}.part`);
      try {
        const { message: content } = await composer.sendMail(message);
        await writeWhole(unfinishedPath, content as Buffer);
        await rename(unfinishedPath, path);
      } catch (error) {
        await rm(unfinishedPath, { force: true });
        throw new DeliveryError(false, { path: directory, error: errorCode(error) }, { cause: error });
      }
      return { path };
    },
    close() {},
  };
}

async function writeWhole(path: string, content: Uint8Array): Promise<void> {
  const file = await open(path, "wx", 0o600);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Names like 20261124T151200.123456Z-1f2e3d4c.eml. Each is later than the one before, also within a millisecond. */
function fileNames(): () => string {
  let lastMicros = 0;
  return () => {
    lastMicros = Math.max(lastMicros + 1, Date.now() * 1000);
    const [date = "", fraction = ""] = new Date(lastMicros / 1000).toISOString().replaceAll(/[-:Z]/g, "").split(".");
    const micros = String(lastMicros % 1000).padStart(3, "0");
    return `${date}.${fraction}${micros}Z-${randomBytes(4).toString("hex")}.eml`;
  };
}

function errorCode(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "unknown";
}
