/** All that an invitation tells of when it was made: about two months (containers.md 5.1). */
export const CREATION_BUCKET_MICROS = 5_000_000_000_000n;

/** @param time microseconds since the epoch, not before it */
export function creationBucket(time: bigint): number {
  return Number(time / CREATION_BUCKET_MICROS);
}
