/**
 * The PostgreSQL that the tests run on: the embedded one, started once per run in a temporary folder, or the server
 * that ENTRIES_TEST_DATABASE_URL names. Each test file gets a database of its own, cloned from a migrated template.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectDatabase, type DatabaseAddress } from "../../src/db/connect.ts";
import { startEmbeddedPostgres } from "../../src/db/embedded.ts";
import { migrate } from "../../src/db/migrate.ts";
import type { Db } from "../../src/db/query.ts";
import { silentLog } from "../../src/log.ts";

export const POOL = {
  databaseConnectionsMax: 10,
  databaseIdleTimeoutSecs: 30,
  databaseConnectionTimeoutSecs: 30,
  databaseLifetimeSecs: 3600,
};
const TEMPLATE = "entries_template";

interface TestCluster {
  admin: Db;
  addressOf(database: string): DatabaseAddress;
  stop(): Promise<void>;
}

/** On globalThis, since every test file may load this module anew. */
const shared = globalThis as typeof globalThis & { testCluster?: Promise<TestCluster>; testDatabases?: number };

export function testCluster(): Promise<TestCluster> {
  shared.testCluster ??= startTestCluster();
  return shared.testCluster;
}

export async function stopTestCluster(): Promise<void> {
  await (await shared.testCluster)?.stop();
  delete shared.testCluster;
}

async function startTestCluster(): Promise<TestCluster> {
  const cluster = process.env.ENTRIES_TEST_DATABASE_URL
    ? externalCluster(process.env.ENTRIES_TEST_DATABASE_URL)
    : await embeddedCluster();
  await cluster.admin.unsafe(`drop database if exists ${TEMPLATE}`);
  await cluster.admin.unsafe(`create database ${TEMPLATE}`);
  const template = connectDatabase(cluster.addressOf(TEMPLATE), POOL, silentLog);
  await migrate(template, silentLog);
  await template.end();
  return cluster;
}

async function embeddedCluster(): Promise<TestCluster> {
  const dataDir = mkdtempSync(join(tmpdir(), "entries-test-"));
  const unpackRoot = join(import.meta.dir, "../../node_modules/.cache/entries-server");
  const embedded = await startEmbeddedPostgres({ dataDir, unpackRoot, durable: false, log: silentLog });
  const admin = connectDatabase(embedded.superuserConnection, POOL, silentLog);
  return {
    admin,
    addressOf: (database) => ({ ...embedded.superuserConnection, database }),
    async stop() {
      await admin.end({ timeout: 1 });
      await embedded.stop();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

function externalCluster(url: string): TestCluster {
  const admin = connectDatabase({ url }, POOL, silentLog);
  return {
    admin,
    addressOf(database) {
      const address = new URL(url);
      address.pathname = `/${database}`;
      return { url: address.href };
    },
    stop: () => admin.end({ timeout: 1 }),
  };
}

export interface TestDatabase {
  db: Db;
  name: string;
  address: DatabaseAddress;
  /** Another pool on the same database, as a second process has one. */
  connect(): Db;
}

/** A database with the newest schema and no rows; `template` "template0" gives an empty one. */
export async function createTestDatabase(template = TEMPLATE): Promise<TestDatabase> {
  const { admin, addressOf } = await testCluster();
  shared.testDatabases = (shared.testDatabases ?? 0) + 1;
  const name = `entries_test_${process.pid}_${shared.testDatabases}`;
  await admin.unsafe(`create database ${name} template ${template}`);
  const address = addressOf(name);
  const connect = () => connectDatabase(address, POOL, silentLog);
  return { db: connect(), name, address, connect };
}
