/** How the demo tells what it does. */

export function say(text: string): void {
  console.log(text);
}

/** @returns what `run` returns, how long it took, for example "1.2 s", and that in seconds */
export async function timed<T>(run: () => T | Promise<T>): Promise<[T, string, number]> {
  const startedAt = performance.now();
  const result = await run();
  const secs = (performance.now() - startedAt) / 1000;
  return [result, `${secs.toFixed(secs < 1 ? 2 : 1)} s`, secs];
}

export const count = (number: number): string => number.toLocaleString("en");
