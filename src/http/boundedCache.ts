/**
 * A map that holds at most `sizeMax` values and forgets those that were not used lately. It keeps two generations: when
 * the young one has grown to half the size it becomes the old one, and what is still in the old one by then is
 * forgotten; what is used moves to the young one. A map in order of use would have to be changed at every hit.
 */
export class BoundedCache<Value> {
  #young = new Map<string, Value>();
  #old = new Map<string, Value>();

  constructor(readonly sizeMax: number) {}

  get(key: string): Value | undefined {
    const value = this.#young.get(key);
    if (value !== undefined) return value;
    const older = this.#old.get(key);
    if (older !== undefined) this.set(key, older);
    return older;
  }

  set(key: string, value: Value): void {
    const isFull = this.#young.size >= this.sizeMax / 2 && !this.#young.has(key);
    if (isFull) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, value);
  }
}
