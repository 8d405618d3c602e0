import type { Command } from "./command.ts";
import { commandsUnder } from "./commandLine.ts";
import { findOption } from "./options.ts";
import { COMMANDS } from "./table.ts";
import { columns } from "./text.ts";

/**
 * @param topic a command, the first word of several, or empty for the overview
 * @returns lines that fit 120 columns
 */
export function helpText(topic: string): string {
  const command = COMMANDS[topic];
  if (command) return commandHelp(topic, command);
  return topic === "" ? overview() : familyHelp(topic);
}

function overview(): string {
  return `entries-server stores and synchronises an end-to-end encrypted budgeting app.

Usage: entries-server [command] [options]

Commands:
${summaries(Object.keys(COMMANDS))}

Options:
  --help     help, also for one command: entries-server migrate --help
  --version  print the version

Settings come from environment variables; see "entries-server config sample". Without any setting the server runs its
own PostgreSQL and keeps everything in ./entries-data.
Exit status of every command: 0 when all is well, 1 when something failed, 2 when the command line or the configuration
is wrong.
`;
}

function familyHelp(word: string): string {
  return `Usage: entries-server ${word} <command>

Commands:
${summaries(commandsUnder(word))}

For one of them: entries-server ${commandsUnder(word)[0]} --help
`;
}

function commandHelp(name: string, command: Command): string {
  const { about, exits, options, examples } = command;
  const parts = [
    `Usage: entries-server ${usage(name, command)}`,
    about,
    ...(options.length > 0 ? [`Options:\n${columns(options.map(optionRow), "  ").trimEnd()}`] : []),
    `Examples:\n${examples.map((example) => `  entries-server ${example}`).join("\n")}`,
    `Exit status: 0 ${exits.ok}${exits.failure ? `, 1 ${exits.failure}` : ""},\n2 when the command line or the configuration is wrong.`,
    ...(commandsUnder(name).length > 0 ? [`See also:\n${summaries(commandsUnder(name))}`] : []),
  ];
  return `${parts.join("\n\n")}\n`;
}

/** A command with its arguments and options, as it is called. */
function usage(name: string, { options, arguments: words }: Command): string {
  const shownName = name === "serve" ? "[serve]" : name;
  const shownOptions = options.map((option) => `[${optionRow(option)[0]}]`);
  return [shownName, ...words.map((word) => `<${word}>`), ...shownOptions].join(" ");
}

function summaries(names: readonly string[]): string {
  const rows = names.map((name) => {
    const { arguments: words = [], summary = "" } = COMMANDS[name] ?? {};
    return [[name, ...words.map((word) => `<${word}>`)].join(" "), summary];
  });
  return columns(rows, "  ").trimEnd();
}

function optionRow(name: string): readonly [string, string] {
  const { value, help = "" } = findOption(name) ?? {};
  return [value ? `--${name} ${value.name}` : `--${name}`, help];
}
