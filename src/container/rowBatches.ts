/** How thousands of rows with blobs go to the database: in batches, the blobs of each end to end in one parameter. */

/**
 * A batch is prepared in one go, in which nobody else is served: ten milliseconds or so. Larger ones are not faster.
 */
const BATCH_BYTES_MAX = 1024 * 1024;
const BATCH_ROWS_MAX = 2000;

interface WithBlob {
  encrypted_blob: Uint8Array;
}

/** Cuts rows into batches of at most 1 MiB of blobs and 2,000 rows; a blob that is larger gets one of its own. */
export function* batchesOf<Row extends WithBlob>(rows: Iterable<Row>): Generator<Row[]> {
  let batch: Row[] = [];
  let bytes = 0;
  for (const row of rows) {
    const isFull = bytes + row.encrypted_blob.length > BATCH_BYTES_MAX || batch.length === BATCH_ROWS_MAX;
    if (isFull && batch.length > 0) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(row);
    bytes += row.encrypted_blob.length;
  }
  if (batch.length > 0) yield batch;
}

/**
 * The blobs as one parameter, with the place of each for PostgreSQL's `substring`: the first byte has offset 1. An array
 * of bytea would have to be parsed as text, which takes twice as long.
 */
export function packBlobs(rows: readonly WithBlob[]): { blobs: Uint8Array; offsets: number[]; lengths: number[] } {
  const lengths = rows.map(({ encrypted_blob }) => encrypted_blob.length);
  let next = 1;
  const offsets = lengths.map((length) => {
    const offset = next;
    next += length;
    return offset;
  });
  return { blobs: Buffer.concat(rows.map(({ encrypted_blob }) => encrypted_blob)), offsets, lengths };
}
