/**
 * What clients hand back as `since`: the sequence number of the last change that they have.
 *
 * While a client is still reading a container from the beginning, its cursor can be lower than the highest number that a
 * purge removed, although it has missed nothing: the purge was before it began. Such a cursor also says which purge that
 * was, in the bits above the number, so that it is told from one that is too old:
 *
 *     bit 63: 1 | bits 40 to 62: low bits of the container's purged_sequence | bits 0 to 39: sequence number
 */

const FLAG = 1n << 63n;
const MARK_SHIFT = 40n;
/** As container_changes compares them. */
const MARK_MASK = 0x7f_ffffn;
const POSITION_MASK = (1n << MARK_SHIFT) - 1n;

export interface Position {
  position: bigint;
  /** Low bits of the purged_sequence since which the client reads from the beginning; -1: it has read to an end. */
  mark: number;
}

/** Takes a cursor apart. Any 64-bit number is one; what the server never gave is found out by container_changes. */
export function positionOf(since: bigint): Position {
  if (since < FLAG) return { position: since, mark: -1 };
  return { position: since & POSITION_MASK, mark: Number((since >> MARK_SHIFT) & MARK_MASK) };
}

/**
 * The cursor of a client that has everything up to a sequence number.
 *
 * @param purged_sequence the container's, as the client's page was read
 */
export function cursorAt(position: bigint, purged_sequence: bigint): bigint {
  if (position >= purged_sequence) return position;
  return FLAG | ((purged_sequence & MARK_MASK) << MARK_SHIFT) | (position & POSITION_MASK);
}
