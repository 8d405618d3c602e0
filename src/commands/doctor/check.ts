/** What the doctor finds, and the time that one of its checks may take. */

export interface Finding {
  level: "ok" | "warning" | "problem";
  /** What is the case, and for what is not ok how to mend it. */
  text: string;
}

export const ok = (text: string): Finding => ({ level: "ok", text });
export const warning = (text: string): Finding => ({ level: "warning", text });
export const problem = (text: string): Finding => ({ level: "problem", text });

export interface Check {
  /** What is looked at, a word or two. */
  name: string;
  /** Must not print secrets, nor what a database or relay says that may hold some. */
  run(): Promise<readonly Finding[]>;
}

/** Longest time for one check in milliseconds. */
export const CHECK_LIMIT_MS = 15_000;

/** Runs a check. What it throws, and time that it does not have, is a problem. */
export async function runCheck({ run }: Check, limitMs = CHECK_LIMIT_MS): Promise<readonly Finding[]> {
  const late = Promise.withResolvers<readonly Finding[]>();
  const timer = setTimeout(
    () => late.resolve([problem(`no answer within ${limitMs / 1000} s. Is it stuck, or out of reach?`)]),
    limitMs,
  );
  try {
    return await Promise.race([run(), late.promise]);
  } catch (error) {
    return [problem(error instanceof Error ? error.message : String(error))];
  } finally {
    clearTimeout(timer);
  }
}
