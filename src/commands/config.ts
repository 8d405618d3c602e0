import type { ConfigResult, Notices } from "../config.ts";
import type { Origin } from "../settings/reader.ts";
import { SETTINGS } from "../settings/table.ts";
import { settingsOf } from "../settings/tree.ts";

/** What a command prints, and the exit status of the process. */
export interface CommandOutput {
  text: string;
  status: 0 | 2;
}

/** `config check`: every problem and doubt, one a line; status 2 when the server would not start. */
export function checkConfig(result: ConfigResult): CommandOutput {
  const notices = noticeLines(result);
  if ("problems" in result)
    return { text: asText([...result.problems.map((problem) => `problem: ${problem}`), ...notices]), status: 2 };
  return { text: asText([...notices, "configuration: ok"]), status: 0 };
}

/** `config print`: the settings in force, `NAME=value  # where from`. Secrets are not shown. */
export function printConfig(result: ConfigResult): CommandOutput {
  if ("problems" in result) return checkConfig(result);
  const isEmbedded = result.config.database.kind === "embedded";
  const lines = settingsOf(SETTINGS).map(({ env, isSecret }) => {
    const origin = result.origins.get(env);
    if (origin?.text === undefined) return `# ${env} is not set${isEmbedded ? (MADE_UP[env] ?? "") : ""}`;
    return `${env}=${isSecret ? "(secret)" : onOneLine(origin)}  # ${origin.source}`;
  });
  return { text: asText(lines), status: 0 };
}

/** What becomes of a missing secret with the embedded database. */
const MADE_UP: Readonly<Record<string, string>> = {
  [SETTINGS.tokenSigningKey.env]: ": the one in the data directory is used",
  [SETTINGS.authStringHashKey.env]: ": the one in the data directory is used",
};

function onOneLine({ text = "" }: Origin): string {
  return /\p{Cc}/u.test(text) ? JSON.stringify(text) : text;
}

function noticeLines({ warnings, ignored }: Notices): string[] {
  const lines = warnings.map((warning) => `warning: ${warning}`);
  return ignored.length === 0 ? lines : [...lines, `no effect here: ${ignored.join(", ")}`];
}

function asText(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join("");
}
