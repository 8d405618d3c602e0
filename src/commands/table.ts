/**
 * Every command, once: the parser, the help and the run go by this table. What a command does is in a file of its own
 * that is imported when it runs, so that the small ones answer at once.
 */
import { type Config, loadConfig } from "../config.ts";
import type { Db } from "../db/query.ts";
import type { Log } from "../log.ts";
import { workerPlace } from "../run/workerProcess.ts";
import { type Command, command, print, withConfig } from "./command.ts";
import { logNotices } from "./notices.ts";
import type { Options } from "./options.ts";

/** By the words that call it. */
export const COMMANDS: Readonly<Record<string, Command>> = {
  serve: command({
    summary: "run the server (the default)",
    options: ["port", "data-dir", "no-jobs", "workers"],
    about: `Checks the configuration, starts or waits for the database, brings its schema up to date, then listens. SIGTERM and
SIGINT stop it after the running requests, a second one at once. SIGHUP reads the certificate again.`,
    exits: { ok: "after a stop", failure: "when it cannot start or go on" },
    examples: ["serve", "--port 8080 --data-dir /var/lib/entries", "serve --workers 4"],
    run: (options) =>
      withConfig(options, async (config, notices) => {
        // A log whose reader has gone, or whose disk is full, loses lines; it must not end the server.
        process.stdout.on("error", () => {});
        if (!workerPlace()) logNotices(notices, config);
        const workers = Number(options.workers ?? 1);
        return (await import("./serve.ts")).serve(config, { runsJobs: !options.noJobs, workers });
      }),
  }),

  migrate: command({
    summary: "bring the database's schema up to date, without serving",
    options: ["data-dir"],
    about: `Brings the database's schema up to date and ends; "serve" does the same before it listens. A database of the
reference server is adopted in place.`,
    exits: { ok: "when the schema is up to date", failure: "when it is not" },
    examples: ["migrate", "migrate --data-dir /var/lib/entries"],
    run: (options) => withConfig(options, async (config) => (await import("./migrate.ts")).migrate(config, "run")),
  }),

  "migrate status": command({
    summary: "show which migrations are applied and which are not",
    options: ["data-dir"],
    about: "Changes nothing.",
    exits: { ok: "when the schema is up to date", failure: "when it is not" },
    examples: ["migrate status"],
    run: (options) => withConfig(options, async (config) => (await import("./migrate.ts")).migrate(config, "status")),
  }),

  "config check": command({
    summary: "check the configuration",
    options: ["port", "data-dir"],
    about: `Names every problem and doubt of the configuration; a server with a problem would not start. To look also at what the
configuration points to, such as the database and the mail relay, see "entries-server doctor --help".`,
    exits: { ok: "when there is no problem" },
    examples: ["config check", "config check --port 8080"],
    async run(options) {
      const { text, status } = (await import("./config.ts")).checkConfig(loadConfig(process.env, options));
      return print(text, status);
    },
  }),

  "config print": command({
    summary: "show the settings in force and where each comes from",
    options: ["port", "data-dir"],
    about: "Secrets are not shown.",
    exits: { ok: "when there is no problem" },
    examples: ["config print", "config print | grep SMTP"],
    async run(options) {
      const { text, status } = (await import("./config.ts")).printConfig(loadConfig(process.env, options));
      return print(text, status);
    },
  }),

  "config sample": command({
    summary: "print a sample.env with every setting",
    about: "Every setting with its meaning and its default.",
    exits: { ok: "always" },
    examples: ["config sample > sample.env"],
    run: async () => print((await import("../sampleEnv.ts")).sampleEnv()),
  }),

  doctor: command({
    summary: "look at everything that the server needs and say what is wrong",
    options: ["json", "port", "data-dir"],
    about: `Looks at the configuration, the database and its schema, the clocks, the secrets, the disk, the mail relay, the public
address, proxies and the port, and says for each what is wrong and how to mend it. Changes nothing and sends no mail;
an embedded database that is not running is started for the while. Works beside a running server, too.`,
    exits: { ok: "when there is no problem (warnings may be)", failure: "when there is one" },
    examples: ["doctor", "doctor --json"],
    run: (options) =>
      withConfig(options, async (config, notices) =>
        (await import("./doctor/doctor.ts")).doctor(config, notices, options.json),
      ),
  }),

  healthcheck: command({
    summary: "ask a server whether it is ready, for containers",
    options: ["url", "port"],
    about: `Asks /readyz of the server that these settings describe, on this machine; for at most 5 seconds. With --url it asks
another one and looks at no settings.`,
    exits: { ok: "when the server is ready", failure: "when it is not or does not answer" },
    examples: ["healthcheck", "healthcheck --url https://entries.example.org"],
    async run(options) {
      const { healthcheck } = await import("./healthcheck.ts");
      return options.url === undefined ? withConfig(options, healthcheck) : healthcheck({ url: options.url });
    },
  }),

  "jobs list": command({
    summary: "show the periodic jobs and how they are doing",
    options: ["json", "data-dir"],
    about: `Shows when each job last began, how that run ended, how long it took, and how many runs ever failed. "due" means that
a server runs it within a minute; "running" that some process is at it now.`,
    exits: { ok: "when the jobs could be shown", failure: "when the database cannot be reached" },
    examples: ["jobs list", "jobs list --json"],
    run: (options) =>
      onDatabase(options, async ({ config, db }) => (await import("./jobs.ts")).listJobs(config, db, options.json)),
  }),

  "jobs run": command({
    summary: "run a job now, whether it is due or not",
    arguments: ["name"],
    options: ["data-dir"],
    about: `Runs a job and tells how many rows it removed. The name may be in any case; put it into quotes. It runs under the same
claim as in a server, so that it never runs twice at once. Ctrl-C stops it after the step under way.`,
    exits: { ok: "when the job is done", failure: "when it failed, was stopped, or another process is running it" },
    examples: ['jobs run "delete users"', 'jobs run "Purge Tombstones"'],
    run: (options, { name }) =>
      withConfig(options, async (config) => {
        const [{ withDatabase }, jobs] = await Promise.all([import("./database.ts"), import("./jobs.ts")]);
        const job = jobs.requireJob(name);
        return withDatabase(config, (db, log) => jobs.runJob(config, db, log, job, stopSignal()));
      }),
  }),

  "user list": command({
    summary: "list accounts",
    options: ["limit", "after", "json", "data-dir"],
    about: "Lists accounts in the order of their ids, which says nothing about when they were made.",
    exits: { ok: "when the accounts could be listed", failure: "when the database cannot be reached" },
    examples: ["user list --limit 20", "user list --json --after 3d4c9c2e-8a0b-4c8e-9d5a-0d4a6e1f2b3c"],
    run: (options) =>
      withUsers(options, (users, _config, db) => {
        const page = { limit: Number(options.limit ?? 100), after: options.after };
        return users.listUsers(db, page, options.json);
      }),
  }),

  "user show": command({
    summary: "show what the server knows of an account",
    arguments: ["email"],
    options: ["json", "data-dir"],
    about: `Shows sessions, the kind of the public key, second factors, a scheduled deletion and the sizes of the encrypted blobs.
The server knows no more: not which containers are the account's, nor when it was made. Letter case does not matter.`,
    exits: { ok: "when there is such an account", failure: "when there is none or the database cannot be reached" },
    examples: ["user show ann@example.org", "user show ann@example.org --json"],
    run: (options, { email }) => withUsers(options, (users, _config, db) => users.showUser(db, email, options.json)),
  }),

  "user delete": command({
    summary: "delete an account now",
    arguments: ["email"],
    options: ["yes", "data-dir"],
    about: `Deletes an account at once and for good, as the job does when a deletion that the user asked for is due: with the
container keys that the account listed for it, and the containers that nobody else opens. What the server cannot know
to be the account's stays, and the answer says so. Its sessions end in every server. Asks before it does so.`,
    exits: { ok: "when the account is deleted", failure: "when there is none or you do not confirm" },
    examples: ["user delete ann@example.org", "user delete ann@example.org --yes"],
    run: (options, { email }) =>
      withUsers(options, (users, config, db) =>
        users.deleteUser(config, db, email, options.yes ? async () => true : users.askOnTerminal),
      ),
  }),

  "user revoke-sessions": command({
    summary: "sign an account out everywhere",
    arguments: ["email"],
    options: ["data-dir"],
    about: `Ends every session of an account. Servers refuse its access and refresh tokens at once; it can sign in again with
password and passcode.`,
    exits: { ok: "when the sessions are ended", failure: "when there is no such account" },
    examples: ["user revoke-sessions ann@example.org"],
    run: (options, { email }) => withUsers(options, (users, config, db) => users.revokeSessions(config, db, email)),
  }),

  backup: command({
    summary: "write the embedded database and its secrets into a file",
    arguments: ["file"],
    options: ["force", "without-secrets", "data-dir"],
    about: `Writes all of the embedded database as it is at one moment, compressed, beside a running server or without one, and
the generated secrets, without which no password verifies. Only the file's owner may read it (mode 0600). It gets its
name when it is whole. Not in it: unsent mail, and settings such as those in the environment and in postgresql.conf.`,
    exits: { ok: "when the backup is whole and on disk", failure: "when there is none" },
    examples: ["backup entries.backup", "backup /mnt/backups/today --force --data-dir /var/lib/entries"],
    run: (options, { file }) =>
      withConfig(options, async (config) => {
        const { backup } = await import("./backup.ts");
        return print(await backup(config, file, { ...options, signal: stopSignal() }));
      }),
  }),

  restore: command({
    summary: "make a new data directory from a backup, or check one",
    arguments: ["file"],
    options: ["verify", "keep-sessions", "data-dir"],
    about: `Restores a backup of this or an older version into a data directory that is new or empty, all of it or nothing. All
sessions end, since those that were ended after the backup would be open again. Everything else is as it was at the
backup, also deleted accounts and used recovery codes. With --verify the data directory is not touched; the temporary
one is in $TMPDIR and takes as much room as the database.`,
    exits: { ok: "when the backup is restored, or good", failure: "when it is not; nothing is left behind" },
    examples: ["restore entries.backup --data-dir /var/lib/entries-new", "restore entries.backup --verify"],
    run: (options, { file }) =>
      withConfig(options, async (config) => {
        const { restore, verify } = await import("./restore.ts");
        const signal = stopSignal();
        return print(await (options.verify ? verify(file, signal) : restore(config, file, { ...options, signal })));
      }),
  }),

  proto: command({
    summary: "print the protobuf definitions of the messages",
    about: "The definitions (proto2) of every message, to generate a client from.",
    exits: { ok: "always" },
    examples: ["proto > entries.proto"],
    run: async () => print((await import("./proto.ts")).protoCommand()),
  }),

  openapi: command({
    summary: "print the description of the API (OpenAPI 3.1)",
    about: "The same as the server shows at /openapi.json and, as a page, at /docs.",
    examples: ["openapi > openapi.json"],
    run: async () => print((await import("./openapi.ts")).openApiCommand()),
  }),

  "sample systemd": sample("systemd", "a systemd unit", "/etc/systemd/system/entries-server.service"),
  "sample container": sample("container", "a file to build a container image with", "Containerfile"),
  "sample caddy": sample("caddy", "a Caddyfile, for Caddy as the proxy in front", "/etc/caddy/Caddyfile"),
  "sample nginx": sample("nginx", "a site for nginx as the proxy in front", "/etc/nginx/conf.d/entries.conf"),

  version: command({
    summary: "print the version, like --version",
    options: ["json"],
    about: "The version of this program and of the runtime in it; with --json also what database it carries and needs.",
    exits: { ok: "always" },
    examples: ["version", "version --json"],
    run: async ({ json }) => print((await import("./version.ts")).versionText(json)),
  }),
};

function sample(name: keyof typeof import("./samples.ts")["SAMPLES"], what: string, path: string): Command {
  return command({
    summary: `print ${what}`,
    about: "A file to begin with; its comments say what to adapt and how to use it.",
    exits: { ok: "always" },
    examples: [`sample ${name} > ${path}`],
    run: async () => print((await import("./samples.ts")).SAMPLES[name]),
  });
}

/** Runs what the command does on the database; its own file is imported there. */
function onDatabase(
  options: Options,
  run: (on: { config: Config; db: Db; log: Log }) => Promise<string>,
): Promise<number> {
  return withConfig(options, async (config) =>
    (await import("./database.ts")).withDatabase(config, (db, log) => run({ config, db, log })),
  );
}

async function withUsers(
  options: Options,
  run: (users: typeof import("./user.ts"), config: Config, db: Db) => Promise<string>,
): Promise<number> {
  return withConfig(options, async (config) => {
    const [{ withDatabase }, users] = await Promise.all([import("./database.ts"), import("./user.ts")]);
    return withDatabase(config, (db) => run(users, config, db));
  });
}

/** Aborted when the operator or the system asks the command to stop. */
function stopSignal(): AbortSignal {
  const stopping = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stopping.abort());
  return stopping.signal;
}
