import type { Setting } from "./settings/setting.ts";
import { GROUPS } from "./settings/table.ts";
import { settingsOf } from "./settings/tree.ts";

const INTRODUCTION = `# Every setting of entries-server. Made by "entries-server config sample"; none has to be set for a first try.
#
# The server reads environment variables and no file of its own: hand this one over with "docker run --env-file" or
# systemd's EnvironmentFile=. Remove the # before what you change; the value that stands there is the default.
# A secret can be given as a file: put _FILE behind the name of its variable and the path behind the =.
# "entries-server config check" checks everything, "entries-server config print" shows what is in force.
`;

/** The text of sample.env: every setting with its sentence, commented out. */
export function sampleEnv(): string {
  const groups = GROUPS.map(({ title, settings }) => {
    return `\n## ${title}\n\n${settingsOf(settings).map(settingText).join("\n")}`;
  });
  return `${INTRODUCTION}${groups.join("")}`;
}

function settingText({ env, type, fallback, sentence, isSecret, alias }: Setting<unknown>): string {
  const hints = [`Must be ${type.must}.`, isSecret ? "Secret." : "", alias ? `Also read as ${alias}.` : ""];
  const value = typeof fallback === "string" ? fallback : "";
  return `# ${sentence}\n# ${hints.filter((hint) => hint !== "").join(" ")}\n# ${env}=${value}\n`;
}
