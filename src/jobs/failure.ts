/** Neither code nor name holds data, as a message of the database may. */
const CODE_FORM = /^\w{1,32}$/;

/** What the log and the tables may know of an error: PostgreSQL's or the system's code, else the kind of the error. */
export function failureCode(error: unknown): string {
  if (!(error instanceof Error)) return "unknown";
  const code = "code" in error ? String(error.code) : error.name;
  return CODE_FORM.test(code) ? code : "unknown";
}

/** Where a mistake of our own happened. The database's errors come without: their text may quote values. */
export function failureStack(error: unknown): string | undefined {
  return error instanceof Error && !("code" in error) ? error.stack : undefined;
}
