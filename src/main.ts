import { version } from "../package.json";
import { type Command, type Invocation, type Options, parseCommandLine, UsageError } from "./commands/commandLine.ts";
import { type Config, type ConfigOptions, loadConfig, type Notices } from "./config.ts";
import { createLog } from "./log.ts";

const STATUS_FAILURE = 1;
/** The configuration or the command line is wrong. */
const STATUS_USAGE = 2;

/** Commands are imported when they run, so that the small ones answer at once. */
async function main(args: readonly string[]): Promise<number> {
  let invocation: Invocation;
  try {
    invocation = parseCommandLine(args);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    complain([`entries-server: ${error.message}`, 'Try "entries-server --help".']);
    return STATUS_USAGE;
  }
  if (invocation.kind === "version") return print(`entries-server ${version} (bun ${Bun.version})\n`);
  if (invocation.kind === "help") return print((await import("./commands/help.ts")).helpText(invocation.topic));
  return run(invocation.command, invocation.options);
}

/** @returns the exit status */
async function run(command: Command, options: Options): Promise<number> {
  switch (command) {
    case "serve":
      // A log whose reader has gone, or whose disk is full, loses lines; it must not end the server.
      process.stdout.on("error", () => {});
      return withConfig(options, async (config, notices) => {
        logNotices(notices, config);
        return (await import("./commands/serve.ts")).serve(config, !options.noJobs);
      });
    case "migrate":
    case "migrate status":
      return withConfig(options, async (config) => {
        const { migrate } = await import("./commands/migrate.ts");
        return migrate(config, command === "migrate" ? "run" : "status");
      });
    case "config check":
    case "config print": {
      const { checkConfig, printConfig } = await import("./commands/config.ts");
      const show = command === "config check" ? checkConfig : printConfig;
      const { text, status } = show(loadConfig(process.env, options));
      return print(text, status);
    }
    case "config sample":
      return print((await import("./sampleEnv.ts")).sampleEnv());
    case "proto":
      return print((await import("./commands/proto.ts")).protoCommand());
  }
}

/** Goes on only with a good configuration; else names every problem. */
async function withConfig(
  options: ConfigOptions,
  next: (config: Config, notices: Notices) => Promise<number>,
): Promise<number> {
  const result = loadConfig(process.env, options);
  if ("config" in result) return next(result.config, result);
  complain([...result.problems.map((problem) => `problem: ${problem}`), "entries-server: the configuration is wrong."]);
  return STATUS_USAGE;
}

function logNotices({ warnings, ignored }: Notices, config: Config): void {
  const log = createLog(config.logLevel, process.stdout.isTTY);
  for (const message of warnings) log.warn("doubtful configuration", { message });
  if (ignored.length > 0) log.info("settings without effect here", { names: ignored });
  log.flush();
}

/** Waits until all is written, so that the process may end. */
async function print(text: string, status = 0): Promise<number> {
  await Bun.write(Bun.stdout, text);
  return status;
}

function complain(lines: readonly string[]): void {
  process.stderr.write(lines.map((line) => `${line}\n`).join(""));
}

try {
  process.exit(await main(process.argv.slice(2)));
} catch (error) {
  complain([`entries-server: ${error instanceof Error ? error.message : String(error)}`]);
  if (process.env.ENTRIES_LOG_LEVEL === "debug" && error instanceof Error) complain([error.stack ?? ""]);
  process.exit(STATUS_FAILURE);
}
