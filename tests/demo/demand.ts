/** The server did not do what it must. The message says what happened, in plain words. */
export class Deviation extends Error {}

export function demand(isTrue: boolean, otherwise: string): asserts isTrue {
  if (!isTrue) throw new Deviation(otherwise);
}
