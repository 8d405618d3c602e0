/** The variables that mean something here, and what a misspelt one may have meant. */
import { IGNORED } from "./reference.ts";
import { SETTINGS } from "./table.ts";
import { settingsOf } from "./tree.ts";

const PREFIX = "ENTRIES_";
/** A name further away than this many changed characters was not meant. */
const DISTANCE_MAX = 4;

const KNOWN: ReadonlySet<string> = new Set(
  settingsOf(SETTINGS).flatMap(({ env, alias, isSecret }) => {
    const names = alias === undefined ? [env] : [env, alias];
    return isSecret ? names.flatMap((name) => [name, `${name}_FILE`]) : names;
  }),
);

/** The variables that are set although nothing reads them. */
export interface UnreadNames {
  /** Names that the reference knew. */
  ignored: string[];
  /** One sentence for each name that nobody knows. */
  warnings: string[];
}

/** Looks at the variables that begin with ENTRIES_; others belong to other programs. */
export function findUnreadNames(env: Readonly<Record<string, string | undefined>>): UnreadNames {
  const names = Object.keys(env)
    .filter((name) => name.startsWith(PREFIX) && env[name] !== undefined && !KNOWN.has(name))
    .sort();
  return {
    ignored: names.filter((name) => IGNORED.has(name)),
    warnings: names.filter((name) => !IGNORED.has(name)).map(unknownName),
  };
}

function unknownName(name: string): string {
  const sentence = `${name} is not a setting of this server and has no effect`;
  if (name.endsWith("_FILE") && KNOWN.has(name.slice(0, -"_FILE".length))) {
    return `${sentence}: only secrets can be given as files.`;
  }
  const nearest = nearestName(name);
  return nearest === undefined ? `${sentence}.` : `${sentence}; did you mean ${nearest}?`;
}

function nearestName(name: string): string | undefined {
  let nearest: string | undefined;
  let least = DISTANCE_MAX + 1;
  for (const known of KNOWN) {
    const distance = editDistance(name, known);
    if (distance < least) {
      least = distance;
      nearest = known;
    }
  }
  return nearest;
}

/** How many characters must be changed, added or removed to turn one text into the other (Levenshtein). */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const replaced = (previous[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1);
      current.push(Math.min(replaced, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}
