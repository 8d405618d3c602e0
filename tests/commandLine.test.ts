import { describe, expect, test } from "bun:test";
import { tmpdir } from "node:os";
import { version } from "../package.json";
import { UsageError } from "../src/commands/command.ts";
import { parseCommandLine } from "../src/commands/commandLine.ts";
import { helpText } from "../src/commands/help.ts";
import { COMMANDS } from "../src/commands/table.ts";

function parse(line: string) {
  return parseCommandLine(line === "" ? [] : line.split(" "));
}

/** Runs the program as an operator would. */
async function run(args: string[], env: Record<string, string> = {}) {
  const main = new URL("../src/main.ts", import.meta.url).pathname;
  const child = Bun.spawn([process.execPath, main, ...args], { cwd: tmpdir(), env, stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr, status] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { stdout, stderr, status };
}

describe("platform 1.4: what is asked for", () => {
  test.each([
    ["", "serve"],
    ["serve", "serve"],
    ["migrate", "migrate"],
    ["migrate status", "migrate status"],
    ["config check", "config check"],
    ["config print", "config print"],
    ["config sample", "config sample"],
    ["proto", "proto"],
    ["openapi", "openapi"],
  ])("%p runs %s", (line, command) => {
    expect(parse(line)).toEqual({ kind: "run", command, options: {}, words: {} });
  });

  test.each([
    ["--port 81", { port: "81" }],
    ["--PORT 81", { port: "81" }],
    ["--Port=81", { port: "81" }],
    ["serve --port 1 --port=2 --PORT 3", { port: "3" }],
    ["--port 1 serve", { port: "1" }],
    ["--data-dir /Some/Dir", { dataDir: "/Some/Dir" }],
    ["--DATA-DIR=-odd", { dataDir: "-odd" }],
    ["--port 0 --data-dir d", { port: "0", dataDir: "d" }],
    ["--no-jobs", { noJobs: true }],
    ["serve --NO-JOBS --port 1", { port: "1", noJobs: true }],
  ])("%p serves with its options; names in any case, the last one counts", (line, options) => {
    expect(parse(line)).toEqual({ kind: "run", command: "serve", options, words: {} });
  });

  test.each([
    ["--help", ""],
    ["-h", ""],
    ["--HELP", ""],
    ["serve --help", "serve"],
    ["--help migrate", "migrate"],
    ["migrate status --help", "migrate status"],
    ["config --help", "config"],
    ["proto --help", "proto"],
    ["help", ""],
    ["help migrate status", "migrate status"],
    ["help jobs", "jobs"],
  ])("%p shows help", (line, topic) => {
    expect(parse(line)).toEqual({ kind: "help", topic });
  });

  test.each(["--version", "-v", "serve --VERSION"])("%p shows the version", (line) => {
    expect(parse(line)).toEqual({ kind: "version" });
  });

  test.each([
    [["jobs", "run", "Delete Users"], "jobs run", { name: "Delete Users" }],
    [["user", "show", "Ann@example.org"], "user show", { email: "Ann@example.org" }],
    [["user", "show", "--", "-odd@example.org"], "user show", { email: "-odd@example.org" }],
  ])("%p names what it works on", (args, command, words) => {
    expect(parseCommandLine(args)).toEqual({ kind: "run", command, options: {}, words });
  });

  test.each([
    ["jobs run", '"jobs run" needs <name>'],
    ["jobs run delete users", '"jobs run" takes <name> only; put one with spaces into quotes'],
    ["user", '"user" needs one of: list, show, delete, revoke-sessions'],
    ["user show", '"user show" needs <email>'],
    ["user list all", 'there is no command "user list all"'],
    ["user list --limit 0", '--limit must be a whole number from 1 to 1000, not "0"'],
    ["user list --yes", '"user list" takes no option --yes'],
    ["serv", 'there is no command "serv"'],
    ["serv --help", 'there is no command "serv"'],
    ["serve now", 'there is no command "serve now"'],
    ["help constructor", 'there is no command "constructor"'],
    ["constructor", 'there is no command "constructor"'],
    ["config", '"config" needs one of: check, print, sample'],
    ["config chek", 'there is no command "config chek"'],
    ["-- --port 1", 'there is no command "--port 1"'],
    ["--prot 1", "there is no option --prot"],
    ["--constructor=1", "there is no option --constructor"],
    ["-p 1", "there is no option -p"],
    ["--help=yes", "--help takes no value"],
    ["--port", "--port needs a value: a whole number from 0 to 65535"],
    ["--port=", "--port needs a value: a whole number from 0 to 65535"],
    ["--port --data-dir d", "--port needs a value: a whole number from 0 to 65535"],
    ["--port many", '--port must be a whole number from 0 to 65535, not "many"'],
    ["--port 65536 --port 1", '--port must be a whole number from 0 to 65535, not "65536"'],
    ["--data-dir=", "--data-dir needs a value: the path of a directory"],
    ["migrate --port 1", '"migrate" takes no option --port'],
    ["config sample --data-dir d", '"config sample" takes no option --data-dir'],
    ["proto --port 1", '"proto" takes no option --port'],
    ["migrate --no-jobs", '"migrate" takes no option --no-jobs'],
    ["--no-jobs=true", "--no-jobs takes no value"],
  ])("%p is refused in one sentence", (line, message) => {
    expect(() => parse(line)).toThrow(new UsageError(message));
  });
});

describe("help", () => {
  test("every command has a text of its own and stands in the overview; no line is over 120 columns", () => {
    const overview = helpText("");
    for (const command of Object.keys(COMMANDS)) {
      expect(overview).toContain(`\n  ${command} `);
      expect(helpText(command)).toStartWith("Usage: entries-server ");
    }
    for (const text of ["", "config", ...Object.keys(COMMANDS)].map(helpText)) {
      for (const line of text.split("\n")) expect(line.length).toBeLessThanOrEqual(120);
    }
  });
});

describe("examples", () => {
  test("of every command's help call that command", () => {
    for (const [name, { examples }] of Object.entries(COMMANDS)) {
      expect(examples.length, name).toBeGreaterThan(0);
      for (const example of examples) {
        const [line = ""] = example.split(/ [>|] /);
        const args = [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? "");
        expect(parseCommandLine(args), example).toMatchObject({ kind: "run", command: name });
      }
    }
  });

  test("stand in the help beside all exit statuses", () => {
    for (const [name, { examples, exits }] of Object.entries(COMMANDS)) {
      const text = helpText(name);
      for (const example of examples) expect(text).toContain(`\n  entries-server ${example}\n`);
      expect(text).toContain(`Exit status: 0 ${exits.ok}`);
      expect(text).toContain("\n2 when the command line or the configuration is wrong.\n");
    }
  });
});

describe("the program", () => {
  test("--version tells its own and the runtime's", async () => {
    expect(await run(["--version"])).toEqual({
      stdout: `entries-server ${version} (bun ${Bun.version})\n`,
      stderr: "",
      status: 0,
    });
  });

  test("--help, config sample and proto print to stdout and end with 0", async () => {
    for (const [args, beginning] of [
      [["--help"], "entries-server stores"],
      [["config", "sample"], "# Every setting"],
      [["proto"], "// Generated"],
    ] as const) {
      const { stdout, stderr, status } = await run([...args]);
      expect({ stderr, status }).toEqual({ stderr: "", status: 0 });
      expect(stdout).toStartWith(beginning);
      expect(stdout).toEndWith("\n");
    }
  });

  test("platform 1.4: a command line without sense is one line with a hint on stderr, and status 2", async () => {
    expect(await run(["--port", "many"])).toEqual({
      stdout: "",
      stderr:
        'entries-server: --port must be a whole number from 0 to 65535, not "many"\nTry "entries-server --help".\n',
      status: 2,
    });
  });

  test("P3: serve and migrate name every problem on stderr and end with 2 before anything else happens", async () => {
    for (const command of ["serve", "migrate"]) {
      const { stdout, stderr, status } = await run([command], { ENTRIES_PORT: "x", ENTRIES_LOG_LEVEL: "y" });
      expect({ stdout, status }).toEqual({ stdout: "", status: 2 });
      expect(stderr).toMatch(
        /^problem: ENTRIES_PORT .*\nproblem: ENTRIES_LOG_LEVEL .*\nentries-server: the config.*\n$/,
      );
    }
  });

  test("P3: config check and config print go by the environment and the options", async () => {
    expect(await run(["config", "check"], { ENTRIES_PORT: "x" })).toMatchObject({ stderr: "", status: 2 });
    expect(await run(["config", "check", "--port", "1"], { ENTRIES_PORT: "x" })).toEqual({
      stdout: "configuration: ok\n",
      stderr: "",
      status: 0,
    });
    const { stdout } = await run(["config", "print", "--data-dir=/d"]);
    expect(stdout).toContain("ENTRIES_DATA_DIR=/d  # --data-dir\n");
  });

  test("a reader that closes early gets no complaint", async () => {
    const main = new URL("../src/main.ts", import.meta.url).pathname;
    const child = Bun.spawn(["sh", "-c", '"$0" "$1" config sample | head -n 1', process.execPath, main], {
      stdout: "pipe",
      stderr: "pipe",
    });
    expect(await new Response(child.stdout).text()).toStartWith("# Every setting");
    expect(await new Response(child.stderr).text()).toBe("");
  });
});
