/** What a command is, and what most of them do: ask for a good configuration, print. */
import { type Config, type ConfigOptions, loadConfig, type Notices } from "../config.ts";
import type { OptionName, Options } from "./options.ts";

export const STATUS_OK = 0;
export const STATUS_FAILURE = 1;
/** The configuration or the command line is wrong. */
export const STATUS_USAGE = 2;

/** The command line makes no sense. The message says in one sentence what is wrong. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

export interface Command {
  /** One line for the overview. */
  summary: string;
  /** The names of the words that must follow the command, all of them. */
  arguments: readonly string[];
  options: readonly OptionName[];
  /** For its help: what it does, in sentences. Lines are at most 120 columns wide. */
  about: string;
  /** What the exit statuses 0 and 1 mean, as in "Exit status: 0 …, 1 …"; without `failure` there is no 1. */
  exits: { ok: string; failure?: string };
  /** Command lines, without the program's name. */
  examples: readonly string[];
  /**
   * @param words the arguments by name
   * @returns the exit status
   * @throws UsageError when the words or options make no sense after all
   */
  run(options: Options, words: Readonly<Record<string, string>>): Promise<number>;
}

interface CommandSpec<Word extends string> extends Pick<Command, "summary" | "about" | "examples"> {
  arguments?: readonly Word[];
  options?: readonly OptionName[];
  exits?: Command["exits"];
  run(options: Options, words: Readonly<Record<Word, string>>): Promise<number>;
}

/** Declares a command. */
export function command<const Word extends string = never>(spec: CommandSpec<Word>): Command {
  return { arguments: [], options: [], exits: { ok: "when it is done", failure: "when it failed" }, ...spec };
}

/** Goes on only with a good configuration; else names every problem. @returns the exit status */
export async function withConfig(
  options: ConfigOptions,
  next: (config: Config, notices: Notices) => Promise<number>,
): Promise<number> {
  const result = loadConfig(process.env, options);
  if ("config" in result) return next(result.config, result);
  complain([...result.problems.map((problem) => `problem: ${problem}`), "entries-server: the configuration is wrong."]);
  return STATUS_USAGE;
}

/** Waits until all is written, so that the process may end. @returns the exit status */
export async function print(text: string, status = STATUS_OK): Promise<number> {
  await Bun.write(Bun.stdout, text);
  return status;
}

/** Writes lines to stderr. */
export function complain(lines: readonly string[]): void {
  process.stderr.write(lines.map((line) => `${line}\n`).join(""));
}
