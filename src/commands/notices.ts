import type { Config, Notices } from "../config.ts";
import { createLog } from "../log.ts";

/** Logs what the operator should hear of the configuration before the server starts. */
export function logNotices({ warnings, ignored }: Notices, config: Config): void {
  const log = createLog(config.logLevel, process.stdout.isTTY);
  for (const message of warnings) log.warn("doubtful configuration", { message });
  if (ignored.length > 0) log.info("settings without effect here", { names: ignored });
  log.flush();
}
