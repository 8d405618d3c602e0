/** Every option of the command line. A new one is an entry here and in the commands that take it. */
import type { ConfigOptions } from "../config.ts";
import { SETTINGS } from "../settings/table.ts";
import { integer, type SettingType, webAddress } from "../settings/types.ts";

const WORKERS_MAX = 64;

/** What the command line says about a run. The texts are checked by the type of their option. */
export interface Options extends ConfigOptions {
  noJobs?: boolean | undefined;
  workers?: string | undefined;
  json?: boolean | undefined;
  limit?: string | undefined;
  after?: string | undefined;
  yes?: boolean | undefined;
  url?: string | undefined;
  force?: boolean | undefined;
  withoutSecrets?: boolean | undefined;
  keepSessions?: boolean | undefined;
  verify?: boolean | undefined;
}

interface Option {
  /** Its name in `Options`. */
  key: keyof Options;
  /** What must follow it; without, it is a switch. `name` stands for the value in the help. */
  value?: { name: string; type: SettingType<unknown> };
  /** For the help, without a full stop. */
  help: string;
}

const ID_FORM = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const id: SettingType<string> = {
  must: "an id like 3d4c9c2e-8a0b-4c8e-9d5a-0d4a6e1f2b3c",
  allowsEmpty: false,
  parse: (text) => (ID_FORM.test(text) ? text : undefined),
};

export const OPTIONS = {
  port: {
    key: "port",
    value: { name: "N", type: SETTINGS.port.type },
    help: "the TCP port, instead of ENTRIES_PORT (default 9000); 0 takes a free one",
  },
  "data-dir": {
    key: "dataDir",
    value: { name: "DIR", type: SETTINGS.dataDir.type },
    help: "where the embedded database, secrets and outbox are, instead of ENTRIES_DATA_DIR (./entries-data)",
  },
  "no-jobs": {
    key: "noJobs",
    help: "serve only; of several servers on one database at least one must run the jobs",
  },
  workers: {
    key: "workers",
    value: { name: "N", type: integer(1, WORKERS_MAX) },
    help: "answer requests in so many processes on one port; limits on requests count in each",
  },
  json: { key: "json", help: "print JSON, for scripts" },
  limit: { key: "limit", value: { name: "N", type: integer(1, 1000) }, help: "show at most so many (default 100)" },
  after: { key: "after", value: { name: "ID", type: id }, help: "go on after this id, the last one shown before" },
  yes: { key: "yes", help: "do not ask" },
  url: {
    key: "url",
    value: { name: "URL", type: webAddress },
    help: "ask the server there, instead of the one of the settings",
  },
  force: { key: "force", help: "replace a file that is there" },
  "without-secrets": { key: "withoutSecrets", help: "leave out the files in secrets/ of the data directory" },
  "keep-sessions": {
    key: "keepSessions",
    help: "leave users signed in, for a server that did not run after the backup",
  },
  verify: { key: "verify", help: "only check: restore into a temporary directory, compare every row, remove it" },
} as const satisfies Record<string, Option>;

export type OptionName = keyof typeof OPTIONS;

/** The option of a name as it is written on the command line, without the dashes; undefined when there is none. */
export function findOption(name: string): Option | undefined {
  return Object.hasOwn(OPTIONS, name) ? OPTIONS[name as OptionName] : undefined;
}
