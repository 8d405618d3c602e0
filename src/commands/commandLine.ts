import { parseArgs } from "node:util";
import type { ConfigOptions } from "../config.ts";
import { SETTINGS } from "../settings/table.ts";

/** Every command, with the options that it takes besides --help and --version. */
export const COMMANDS = {
  serve: ["port", "data-dir", "no-jobs"],
  migrate: ["data-dir"],
  "migrate status": ["data-dir"],
  "config check": ["port", "data-dir"],
  "config print": ["port", "data-dir"],
  "config sample": [],
  proto: [],
} as const satisfies Record<string, readonly (keyof typeof VALUE_OPTIONS | Switch)[]>;

export type Command = keyof typeof COMMANDS;

/** What the command line says about a run. */
export interface Options extends ConfigOptions {
  noJobs?: boolean | undefined;
}

/** What the operator wants. */
export type Invocation =
  | { kind: "run"; command: Command; options: Options }
  /** `topic` is a command, the first word of one, or empty. */
  | { kind: "help"; topic: string }
  | { kind: "version" };

/** The command line makes no sense. The message says in one sentence what is wrong. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

const VALUE_OPTIONS = {
  port: { key: "port", type: SETTINGS.port.type },
  "data-dir": { key: "dataDir", type: SETTINGS.dataDir.type },
} as const;

/** Options without a value. */
const SWITCHES = ["help", "version", "no-jobs"] as const;
type Switch = (typeof SWITCHES)[number];

/**
 * @param args without the program; option names may be in any case, and of a repeated option the last one counts
 * @throws UsageError
 */
export function parseCommandLine(args: readonly string[]): Invocation {
  const { values, switches, words } = readArguments(args);
  const topic = words.join(" ");
  if (switches.has("version")) return { kind: "version" };
  if (switches.has("help") && (isCommand(topic) || commandsUnder(topic).length > 0)) return { kind: "help", topic };

  const command = topic === "" ? "serve" : topic;
  if (!isCommand(command)) throw new UsageError(unknownCommand(words));
  const allowed: readonly string[] = COMMANDS[command];
  for (const name of [...values.keys(), ...switches]) {
    if (!allowed.includes(name)) throw new UsageError(`"${command}" takes no option --${name}`);
  }
  const noJobs = switches.has("no-jobs") || undefined;
  return { kind: "run", command, options: { port: values.get("port"), dataDir: values.get("data-dir"), noJobs } };
}

interface Arguments {
  values: Map<string, string>;
  switches: Set<Switch>;
  words: string[];
}

function readArguments(args: readonly string[]): Arguments {
  const { tokens } = parseArgs({
    args: args.map((arg) => arg.replace(/^--[^=]+/, (name) => name.toLowerCase())),
    options: {
      port: { type: "string" },
      "data-dir": { type: "string" },
      help: { type: "boolean", short: "h" },
      version: { type: "boolean", short: "v" },
      "no-jobs": { type: "boolean" },
    },
    allowPositionals: true,
    strict: false, // its own complaints are for programmers
    tokens: true,
  });
  const result: Arguments = { values: new Map(), switches: new Set(), words: [] };
  for (const token of tokens) {
    if (token.kind === "positional") result.words.push(token.value);
    if (token.kind !== "option") continue;
    const { name, value, inlineValue } = token;
    if (isValueOption(name)) {
      result.values.set(name, checkedValue(name, value, inlineValue ?? false));
    } else if (isSwitch(name)) {
      if (value !== undefined) throw new UsageError(`--${name} takes no value`);
      result.switches.add(name);
    } else {
      throw new UsageError(`there is no option ${token.rawName}`);
    }
  }
  return result;
}

function checkedValue(name: keyof typeof VALUE_OPTIONS, value: string | undefined, isInline: boolean): string {
  const { must, parse } = VALUE_OPTIONS[name].type;
  const isNextOption = value?.startsWith("-") && !isInline;
  if (value === undefined || value === "" || isNextOption) throw new UsageError(`--${name} needs a value: ${must}`);
  if (parse(value) === undefined) throw new UsageError(`--${name} must be ${must}, not ${JSON.stringify(value)}`);
  return value;
}

function unknownCommand(words: readonly string[]): string {
  const [first = ""] = words;
  const family = commandsUnder(first).map((command) => command.slice(first.length + 1));
  if (words.length === 1 && family.length > 0) return `"${first}" needs one of: ${family.join(", ")}`;
  return `there is no command ${JSON.stringify(words.join(" "))}`;
}

/** The commands of more than one word that begin with this one; all of them for the empty text. */
function commandsUnder(topic: string): string[] {
  return Object.keys(COMMANDS).filter((command) => topic === "" || command.startsWith(`${topic} `));
}

function isCommand(text: string): text is Command {
  return Object.hasOwn(COMMANDS, text);
}

function isSwitch(name: string): name is Switch {
  return SWITCHES.some((known) => known === name);
}

function isValueOption(name: string): name is keyof typeof VALUE_OPTIONS {
  return Object.hasOwn(VALUE_OPTIONS, name);
}
