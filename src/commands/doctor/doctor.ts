/** `doctor`: looks at everything that a server needs, side by side, and says what is wrong and how to mend it. */
import type { Config, Notices } from "../../config.ts";
import { print, STATUS_FAILURE, STATUS_OK } from "../command.ts";
import { counted, jsonText } from "../text.ts";
import { type Check, type Finding, runCheck, warning } from "./check.ts";
import { checkDatabase, type DatabaseFacts } from "./database.ts";
import { checkDataDirectory } from "./dataDirectory.ts";
import { checkMail } from "./mail.ts";
import { checkAddress, checkPort } from "./network.ts";
import { checkSecrets } from "./secrets.ts";

/** A finding and the check that it comes from. */
export interface Diagnosis extends Finding {
  check: string;
}

/** @returns the exit status: 0 when there is no problem */
export async function doctor(config: Config, notices: Notices, asJson = false): Promise<number> {
  const diagnoses = await examine(config, notices);
  const hasProblem = diagnoses.some(({ level }) => level === "problem");
  return print(asJson ? jsonText(diagnoses) : textOf(diagnoses), hasProblem ? STATUS_FAILURE : STATUS_OK);
}

/** Everything that was found, check by check. */
export async function examine(config: Config, { warnings }: Notices): Promise<Diagnosis[]> {
  const facts = Promise.withResolvers<DatabaseFacts>();
  const checks: Check[] = [
    { name: "configuration", run: async () => warnings.map(warning) },
    { name: "database", run: () => checkDatabase(config, facts) },
    { name: "secrets", run: () => checkSecrets(config, facts.promise) },
    { name: "data directory", run: () => checkDataDirectory(config) },
    { name: "mail", run: () => checkMail(config) },
    { name: "address", run: async () => checkAddress(config) },
    { name: "port", run: () => checkPort(config) },
  ];
  const found = await Promise.all(checks.map((check) => runCheck(check)));
  return checks.flatMap(({ name }, index) => (found[index] ?? []).map((finding) => ({ check: name, ...finding })));
}

function textOf(diagnoses: readonly Diagnosis[]): string {
  const count = (wanted: Finding["level"]) => diagnoses.filter(({ level }) => level === wanted).length;
  const lines = diagnoses.map(({ level, check, text }) => `${level.padEnd(7)}  ${check}: ${text}\n`);
  return `${lines.join("")}${counted(count("problem"), "problem")}, ${counted(count("warning"), "warning")}.\n`;
}
