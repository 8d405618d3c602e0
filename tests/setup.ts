/** Runs before every test run (bunfig.toml): time-outs, and the end of the database that the tests share. */
import { afterAll, setDefaultTimeout } from "bun:test";
import { stopTestCluster } from "./support/database.ts";

setDefaultTimeout(60_000);
afterAll(stopTestCluster);
