import { parseArgs } from "node:util";
import { UsageError } from "./command.ts";
import { findOption, OPTIONS, type Options } from "./options.ts";
import { COMMANDS } from "./table.ts";

/** What the operator wants. */
export type Invocation =
  /** `command` is a key of COMMANDS; `words` are its arguments by name. */
  | { kind: "run"; command: string; options: Options; words: Record<string, string> }
  /** `topic` is a command, the first word of several, or empty. */
  | { kind: "help"; topic: string }
  | { kind: "version" };

/**
 * @param args without the program; option names may be in any case, and of a repeated option the last one counts
 * @throws UsageError
 */
export function parseCommandLine(args: readonly string[]): Invocation {
  const { given, words: all } = readArguments(args);
  const asksForHelp = given.has("help") || all[0] === "help";
  const words = all[0] === "help" ? all.slice(1) : all;
  if (given.has("version")) return { kind: "version" };
  const name = findCommand(words);
  if (asksForHelp) {
    const topic = name ?? words.join(" ");
    if (topic === "" || name !== undefined || commandsUnder(topic).length > 0) return { kind: "help", topic };
  }

  const command = words.length === 0 ? "serve" : name;
  if (command === undefined) throw new UsageError(unknownCommand(words));
  const rest = words.slice(words.length === 0 ? 0 : command.split(" ").length);
  return { kind: "run", command, options: optionsOf(command, given), words: nameWords(command, rest) };
}

interface Arguments {
  /** By name; "" for a switch. */
  given: Map<string, string>;
  words: string[];
}

/** Asked for in place of a run, so that they go with every command. */
const REQUESTS = { help: { type: "boolean", short: "h" }, version: { type: "boolean", short: "v" } } as const;

function readArguments(args: readonly string[]): Arguments {
  const { tokens } = parseArgs({
    args: args.map((arg) => arg.replace(/^--[^=]+/, (name) => name.toLowerCase())),
    options: { ...REQUESTS, ...optionTypes() },
    allowPositionals: true,
    strict: false, // its own complaints are for programmers
    tokens: true,
  });
  const result: Arguments = { given: new Map(), words: [] };
  for (const token of tokens) {
    if (token.kind === "positional") result.words.push(token.value);
    if (token.kind !== "option") continue;
    const { name, rawName, value, inlineValue } = token;
    result.given.set(name, checkedValue(name, rawName, value, inlineValue ?? false));
  }
  return result;
}

function optionTypes() {
  const types = Object.keys(OPTIONS).map((name) => [name, { type: findOption(name)?.value ? "string" : "boolean" }]);
  return Object.fromEntries(types) as Record<string, { type: "string" | "boolean" }>;
}

function checkedValue(name: string, rawName: string, value: string | undefined, isInline: boolean): string {
  const option = findOption(name);
  if (!option && !Object.hasOwn(REQUESTS, name)) throw new UsageError(`there is no option ${rawName}`);
  if (!option?.value) {
    if (value !== undefined) throw new UsageError(`--${name} takes no value`);
    return "";
  }
  const { must, parse } = option.value.type;
  const isNextOption = value?.startsWith("-") && !isInline;
  if (value === undefined || value === "" || isNextOption) throw new UsageError(`--${name} needs a value: ${must}`);
  if (parse(value) === undefined) throw new UsageError(`--${name} must be ${must}, not ${JSON.stringify(value)}`);
  return value;
}

function optionsOf(command: string, given: ReadonlyMap<string, string>): Options {
  const allowed: readonly string[] = COMMANDS[command]?.options ?? [];
  const options: Record<string, string | true> = {};
  for (const [name, value] of given) {
    const option = findOption(name);
    if (!option || !allowed.includes(name)) throw new UsageError(`"${command}" takes no option --${name}`);
    options[option.key] = option.value ? value : true;
  }
  return options;
}

/** The command that the first words call: the longest one. */
function findCommand(words: readonly string[]): string | undefined {
  for (let length = words.length; length > 0; length--) {
    const name = words.slice(0, length).join(" ");
    if (isCommand(name) && (length === words.length || takesWords(name))) return name;
  }
  return undefined;
}

function nameWords(command: string, rest: readonly string[]): Record<string, string> {
  const names = COMMANDS[command]?.arguments ?? [];
  const missing = names[rest.length];
  if (missing !== undefined) throw new UsageError(`"${command}" needs <${missing}>`);
  if (rest.length > names.length) {
    const placeholders = names.map((name) => `<${name}>`).join(" ");
    throw new UsageError(`"${command}" takes ${placeholders} only; put one with spaces into quotes`);
  }
  return Object.fromEntries(names.map((name, index) => [name, rest[index] ?? ""]));
}

function unknownCommand(words: readonly string[]): string {
  const [first = ""] = words;
  const family = commandsUnder(first).map((command) => command.slice(first.length + 1));
  if (words.length === 1 && family.length > 0) return `"${first}" needs one of: ${family.join(", ")}`;
  return `there is no command ${JSON.stringify(words.join(" "))}`;
}

/** The commands of more than one word that begin with this one. */
export function commandsUnder(topic: string): string[] {
  return Object.keys(COMMANDS).filter((command) => command.startsWith(`${topic} `));
}

function isCommand(text: string): boolean {
  return Object.hasOwn(COMMANDS, text);
}

function takesWords(command: string): boolean {
  return (COMMANDS[command]?.arguments.length ?? 0) > 0;
}
