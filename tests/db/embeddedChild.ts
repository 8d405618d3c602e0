/**
 * A stand-in for the server, for tests that kill it: starts the embedded database, says so, and then writes rows as
 * fast as it can, telling each number only after the database has acknowledged it.
 *
 *     bun tests/db/embeddedChild.ts <data-dir> <unpack-root, or - for the default>
 */
import postgres from "postgres";
import { startEmbeddedPostgres } from "../../src/db/embedded.ts";
import { silentLog } from "../../src/log.ts";

const [dataDir = "", unpackRoot = ""] = process.argv.slice(2);
let isStopping = false;
try {
  const options = unpackRoot === "-" ? {} : { unpackRoot };
  const embedded = await startEmbeddedPostgres({ dataDir, log: silentLog, ...options });
  const { socketPath, username, database } = embedded.connection;
  console.log(`ready ${embedded.version}`);
  embedded.exited.then(({ message }) => console.log(`exited ${message.split("\n")[0]}`));
  process.on("SIGTERM", async () => {
    isStopping = true;
    await embedded.stop();
    process.exit(0);
  });

  const target = { path: socketPath, username, database };
  const sql = postgres({ ...target, max: 1, onnotice: () => {} });
  await sql`create table if not exists acknowledged (id bigint generated always as identity, number int)`;
  for (let number = 1; ; number++) {
    await sql`insert into acknowledged (number) values (${number})`;
    console.log(`row ${number}`);
  }
} catch (error) {
  // Stopping the database ends the last statement with an error, as it should.
  if (!isStopping) {
    console.log(error instanceof Error ? `${error.name} ${error.message}` : error);
    process.exit(1);
  }
}
