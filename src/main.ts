import { complain, print, STATUS_FAILURE, STATUS_USAGE, UsageError } from "./commands/command.ts";
import { parseCommandLine } from "./commands/commandLine.ts";
import { COMMANDS } from "./commands/table.ts";

/** @returns the exit status */
async function main(args: readonly string[]): Promise<number> {
  const invocation = parseCommandLine(args);
  switch (invocation.kind) {
    case "version":
      return print((await import("./commands/version.ts")).versionText());
    case "help":
      return print((await import("./commands/help.ts")).helpText(invocation.topic));
    case "run":
      return COMMANDS[invocation.command]?.run(invocation.options, invocation.words) ?? STATUS_FAILURE;
  }
}

try {
  process.exit(await main(process.argv.slice(2)));
} catch (error) {
  complain([`entries-server: ${error instanceof Error ? error.message : String(error)}`]);
  if (error instanceof UsageError) {
    complain(['Try "entries-server --help".']);
    process.exit(STATUS_USAGE);
  }
  if (process.env.ENTRIES_LOG_LEVEL === "debug" && error instanceof Error) complain([error.stack ?? ""]);
  process.exit(STATUS_FAILURE);
}
