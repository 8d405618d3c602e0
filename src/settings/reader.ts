import { readFileSync } from "node:fs";
import type { Setting } from "./setting.ts";
import { isSetting, type SettingTree, type ValuesOf } from "./tree.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** Where the text of a setting was found. */
export interface Origin {
  /** undefined: not set, and no default. */
  text: string | undefined;
  /** "default", "environment", a path, or the command-line option. */
  source: string;
}

/** What came of reading the table, good or bad. */
export interface Reading<Tree> {
  /** A wrong or missing value is replaced by the default, so that further checks can go on. */
  values: ValuesOf<Tree>;
  /** By variable. */
  origins: ReadonlyMap<string, Origin>;
  /** The variables that were set, right or wrong. */
  given: ReadonlySet<string>;
  /** Those of them that were wrong. */
  wrong: ReadonlySet<string>;
  problems: string[];
  warnings: string[];
}

/** A text and the name under which the operator gave it. */
interface Found {
  text: string;
  name: string;
  source: string;
}

/**
 * Reads every setting of a tree.
 * @param options what the command line says, by variable; it wins over the environment
 */
export function readSettings<Tree extends SettingTree>(
  tree: Tree,
  env: Environment,
  options: ReadonlyMap<string, Found>,
): Reading<Tree> {
  const origins = new Map<string, Origin>();
  const given = new Set<string>();
  const wrong = new Set<string>();
  const problems: string[] = [];
  const warnings: string[] = [];

  function readTree(branch: SettingTree): Record<string, unknown> {
    return Object.fromEntries(
      Object.entries(branch).map(([key, node]) => [key, isSetting(node) ? readOne(node) : readTree(node)]),
    );
  }

  function readOne(setting: Setting<unknown>): unknown {
    const found = options.get(setting.env) ?? findGiven(setting);
    if (found === undefined) return readDefault(setting);
    given.add(setting.env);
    const { text, name, source } = found;
    const value = text === "" && !setting.type.allowsEmpty ? undefined : setting.type.parse(text);
    if (value === undefined) {
      refuse(setting, wrongValue(setting, name, text));
      return readDefault(setting);
    }
    origins.set(setting.env, { text, source });
    return value;
  }

  function readDefault({ env: name, type, fallback }: Setting<unknown>): unknown {
    const text = typeof fallback === "function" ? fallback((other) => origins.get(other)?.text) : fallback;
    origins.set(name, { text, source: "default" });
    return text === undefined ? undefined : type.parse(text);
  }

  function refuse(setting: Setting<unknown>, problem: string): void {
    wrong.add(setting.env);
    problems.push(problem);
  }

  /** Under its name, or else under its older one. */
  function findGiven(setting: Setting<unknown>): Found | undefined {
    const found = findNamed(setting, setting.env);
    if (setting.alias === undefined) return found;
    const older = findNamed(setting, setting.alias);
    if (found && older) warnings.push(`${older.name} has no effect, because ${found.name} is set too.`);
    return found ?? older;
  }

  function findNamed(setting: Setting<unknown>, name: string): Found | undefined {
    const text = env[name];
    const fileName = `${name}_FILE`;
    const path = setting.isSecret ? env[fileName] : undefined;
    if (path === undefined) return text === undefined ? undefined : { text, name, source: sourceOf(setting, name) };
    given.add(setting.env);
    if (text !== undefined) {
      refuse(setting, `${name} and ${fileName} are both set; remove one of them.`);
      return undefined;
    }
    try {
      const content = readFileSync(path, "utf8").replace(/\r?\n$/, "");
      return { text: content, name: `${name} (the content of ${path})`, source: path };
    } catch (error) {
      const reason = error instanceof Error && "code" in error ? String(error.code) : "unknown error";
      refuse(setting, `${fileName}: cannot read the file ${JSON.stringify(path)} (${reason}).`);
      return undefined;
    }
  }

  const values = readTree(tree) as ValuesOf<Tree>;
  return { values, origins, given, wrong, problems, warnings };
}

function sourceOf(setting: Setting<unknown>, name: string): string {
  return name === setting.env ? "environment" : `environment, ${name}`;
}

const SHOWN_LENGTH_MAX = 80;

/** One sentence; the value of a secret is not in it. */
function wrongValue({ type, isSecret }: Setting<unknown>, name: string, text: string): string {
  if (text === "") return `${name} is empty; it must be ${type.must}, or not be set at all.`;
  if (isSecret) return `${name} must be ${type.must}.`;
  const shortened = text.length > SHOWN_LENGTH_MAX ? `${text.slice(0, SHOWN_LENGTH_MAX)}…` : text;
  const withoutPassword = shortened.replace(/\/\/[^/]*@/g, "//…@");
  return `${name} must be ${type.must}, not ${JSON.stringify(withoutPassword)}.`;
}
