import type postgres from "postgres";
import type { PoolActivity, StatementTimer } from "./activity.ts";

/** A pool, with 64-bit integers and times as bigint (see connect.ts). */
export type Db = postgres.Sql<{ bigint: bigint }> & { readonly activity: PoolActivity };
/** A pool or a transaction: every query function takes one first, so that the caller decides. */
export type Executor = postgres.ISql<{ bigint: bigint }> & { readonly activity?: PoolActivity };

/** How many rows a statement answers: exactly one, none or one, any number, or just how many it touched. */
export type Cardinality = "one" | "maybe" | "many" | "count";

export interface Query<Params, Row, Kind extends Cardinality> {
  (
    db: Executor,
    params: Params,
  ): Promise<Kind extends "one" ? Row : Kind extends "maybe" ? Row | undefined : Kind extends "many" ? Row[] : number>;
  /** The file below `sql/`, without its ending. */
  readonly file: string;
  readonly text: string;
}

/** Parameter types that postgres.js would guess wrongly from the JavaScript value: arrays of non-text, and times. */
const TYPED_OIDS = new Set([1000, 1001, 1016, 1114, 1115]);

/**
 * Makes a typed function of one SQL file. Only `queries.ts`, which `bun run sql` writes, calls this.
 * Requests reach `unsafe` only here, always as a prepared statement: without, each call costs five times as much. Texts are static files, so nothing can be injected.
 *
 * @param parameters name and type (oid) of $1, $2, …
 */
export function query<Params extends object, Row, Kind extends Cardinality>(
  file: string,
  text: string,
  parameters: readonly (readonly [name: keyof Params & string, oid: number])[],
  kind: Kind,
): Query<Params, Row, Kind> {
  async function run(db: Executor, params: Params): Promise<unknown> {
    const values = parameters.map(([name, oid]) => {
      const value = params[name] ?? null;
      return value !== null && TYPED_OIDS.has(oid) ? db.typed(value as never, oid) : value;
    });
    // `simple: false`: a statement without parameters would otherwise not be prepared.
    const options = { prepare: true, simple: false } as postgres.UnsafeQueryOptions;
    const pending = db.unsafe(text, values as never[], options);
    const rows = await (db.activity ? timed(pending, db.activity) : pending);
    if (kind === "many") return rows;
    if (kind === "count") return rows.count;
    if (rows.length > 1 || (kind === "one" && rows.length === 0)) {
      throw new Error(`sql/${file}.sql answered ${rows.length} rows, but its header says "${kind}"`);
    }
    return rows[0];
  }
  return Object.assign(run as Query<Params, Row, Kind>, { file, text });
}

/** Awaits a statement and tells how far it is. @throws ApiError PREHANDLER 503 when too many wait for a connection */
async function timed<Rows>(pending: PromiseLike<Rows> & { cancel(): void }, activity: PoolActivity): Promise<Rows> {
  const timer = activity.begin(() => pending.cancel());
  Object.assign(pending, { options: new TimedOptions(timer) });
  try {
    return await pending;
  } finally {
    timer.done();
  }
}

/** postgres.js does not tell when a connection takes a statement, but asks it then whether it is to be prepared. */
class TimedOptions {
  readonly simple = false;
  readonly #timer: StatementTimer;

  constructor(timer: StatementTimer) {
    this.#timer = timer;
  }

  get prepare(): true {
    this.#timer.taken();
    return true;
  }
}
