import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Config } from "../../config.ts";
import { SECRET_FILES } from "../../secrets.ts";
import { SETTINGS } from "../../settings/table.ts";
import { settingsOf } from "../../settings/tree.ts";
import { secretBytes } from "../../settings/types.ts";
import { type Finding, ok, problem, warning } from "./check.ts";
import type { DatabaseFacts } from "./database.ts";

const OTHERS = 0o077;
const OTHERS_BUT_GROUP = 0o007;
/** Container runtimes show secrets here, readable by all that the container runs. */
const CONTAINER_SECRETS = "/run/secrets/";

/** Looks at the files that hold secrets, whether they are there and who may read them; never at what is in the log. */
export async function checkSecrets(config: Config, facts: Promise<DatabaseFacts>): Promise<readonly Finding[]> {
  const named = namedFiles().flatMap(checkNamedFile);
  const kept = config.database.kind === "embedded" ? await checkKeptSecrets(config, facts) : [];
  const findings = [...named, ...kept];
  return findings.length === 0 ? [ok("all are given by the environment.")] : findings;
}

/** The files that a variable NAME_FILE points to. */
function namedFiles(): { env: string; path: string }[] {
  return settingsOf(SETTINGS)
    .filter(({ isSecret }) => isSecret)
    .flatMap(({ env, alias }) => [env, ...(alias === undefined ? [] : [alias])])
    .flatMap((env) => {
      const path = process.env[`${env}_FILE`];
      return path === undefined ? [] : [{ env: `${env}_FILE`, path }];
    });
}

function checkNamedFile({ env, path }: { env: string; path: string }): Finding[] {
  const mode = statSync(path).mode & 0o777;
  if ((mode & OTHERS_BUT_GROUP) === 0 || path.startsWith(CONTAINER_SECRETS)) return [ok(`${env}: ${path} is there.`)];
  return [warning(`${env}: every user of this machine may read ${path}. Run chmod 600 ${path}.`)];
}

/** Those that were made at the first start, in the data directory. */
async function checkKeptSecrets(config: Config, facts: Promise<DatabaseFacts>): Promise<Finding[]> {
  const directory = join(config.dataDir, "secrets");
  const wanted = SECRET_FILES.filter(({ key }) => config[key] === undefined);
  if (wanted.length > 0 && isClosed(directory)) {
    return [problem(`this user may not look into ${directory}. Run this as the user that the server runs as.`)];
  }
  const findings: Finding[] = [];
  for (const { name, env, length, isForPasswords } of wanted) {
    const path = join(directory, name);
    if (existsSync(path)) findings.push(...checkKeptFile(path, length, env));
    else if (!isForPasswords) findings.push(ok(`${path} is not there yet; the next start makes it.`));
    else findings.push(missingPasswordKey(path, env, (await facts).hasAccounts));
  }
  const isOpen = existsSync(directory) && (statSync(directory).mode & OTHERS) !== 0;
  return isOpen ? [...findings, problem(`others may look into ${directory}. Run chmod 700 ${directory}.`)] : findings;
}

/** It may be there, but this user cannot see. */
function isClosed(directory: string): boolean {
  try {
    readdirSync(directory);
    return false;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EACCES";
  }
}

function checkKeptFile(path: string, length: number, env: string): Finding[] {
  if ((statSync(path).mode & OTHERS) !== 0) {
    return [problem(`others may read ${path}. Run chmod 600 ${path}, and think about who may have read it.`)];
  }
  if (secretBytes(length).parse(readFileSync(path, "utf8").trimEnd())) return [ok(`${path} is there, mode 0600.`)];
  return [problem(`${path} is damaged. Put it back from a backup, or set ${env} to the value that it had.`)];
}

function missingPasswordKey(path: string, env: string, hasAccounts: boolean | undefined): Finding {
  if (hasAccounts === false) return ok(`${path} is not there yet; the next start makes it.`);
  const consequence = hasAccounts
    ? "no password of the accounts can be checked"
    : "it cannot be told whether it is needed";
  return problem(
    `${path} is missing, and without it ${consequence}. Put it back from a backup, or set ${env} to the value that it had.`,
  );
}
