/** Reads Prometheus' text format 0.0.4, strictly: what a scraper would refuse or misunderstand is an error. */

export interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

const NAME = "[a-zA-Z_:][a-zA-Z0-9_:]*";
const SAMPLE = new RegExp(`^(${NAME})(?:\\{(.*)\\})? (-?[0-9.]+(?:e[+-]?[0-9]+)?|[+-]Inf|NaN)$`, "i");
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/gy;

/** @throws Error for a line that is none, a sample without HELP and TYPE before it, and one that stands there twice */
export function parseMetrics(text: string): Sample[] {
  if (!text.endsWith("\n")) throw new Error("the last line has no end");
  const helped = new Set<string>();
  const types = new Map<string, string>();
  const seen = new Set<string>();
  return text.split("\n").flatMap((line): Sample[] => {
    if (line === "") return [];
    const [, kind, about = "", rest = ""] = new RegExp(`^# (HELP|TYPE) (${NAME}) (.+)$`).exec(line) ?? [];
    if (kind === "HELP") helped.add(about);
    else if (kind === "TYPE") types.set(about, rest);
    if (kind) return [];
    const sample = parseSample(line);
    const family = sample.name.replace(/_(?:bucket|sum|count)$/, "");
    const type = types.get(sample.name) ?? (types.get(family) === "histogram" ? "histogram" : undefined);
    if (!type || !(helped.has(sample.name) || helped.has(family))) throw new Error(`no HELP and TYPE: ${line}`);
    const key = JSON.stringify([sample.name, Object.entries(sample.labels).sort()]);
    if (seen.has(key)) throw new Error(`twice: ${line}`);
    seen.add(key);
    return [sample];
  });
}

function parseSample(line: string): Sample {
  const [, name, labelText = "", valueText] = SAMPLE.exec(line) ?? [];
  if (name === undefined) throw new Error(`no sample: ${line}`);
  const found = [...labelText.matchAll(LABEL)];
  if (found.map(([whole]) => whole).join("") !== labelText) throw new Error(`labels that cannot be read: ${line}`);
  const labels = Object.fromEntries(found.map(([, label, value]) => [label, value]));
  return { name, labels, value: Number(valueText?.replace("Inf", "Infinity")) };
}

/** The value of the one sample with this name and, among others, these labels; undefined when there is none. */
export function sampleOf(
  samples: readonly Sample[],
  name: string,
  labels: Record<string, string> = {},
): number | undefined {
  const found = samples.filter(
    (sample) =>
      sample.name === name && Object.entries(labels).every(([label, value]) => sample.labels[label] === value),
  );
  if (found.length > 1) throw new Error(`${found.length} samples of ${name} fit ${JSON.stringify(labels)}`);
  return found[0]?.value;
}
