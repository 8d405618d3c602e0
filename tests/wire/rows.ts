/** Rows as the database returns them, null where an optional field is absent; that they are taken is checked by tsc. */
export const entry = {
  id: "018f3c5e-7a00-7000-8000-0123456789ab",
  container_id: "018f3c5e-7a00-7000-8000-0123456789ac",
  category_id: null as string | null,
  encrypted_blob: new Uint8Array([1, 2, 3]),
  version_nonce: -5n,
  modified_timestamp: 1_769_847_300_123_456n,
  deleted_at: null as bigint | null,
};

export const container = {
  id: "018f3c5e-7a00-7000-8000-0123456789ac",
  encrypted_blob: new Uint8Array(),
  version_nonce: 0n,
  modified_timestamp: 1_769_847_300_123_456n,
  categories: [],
  entries: [entry],
  deleted_at: null as bigint | null,
};
