import type { Db } from "../db/query.ts";
import { ClientErrors } from "./clientErrors.ts";
import { DatabaseMonitor } from "./databaseMonitor.ts";
import { createMetrics, type MeasuredServices, type Metrics } from "./metrics.ts";
import { RequestTally } from "./requests.ts";

/** What watches one process, for its operator. */
export interface Ops {
  requests: RequestTally;
  database: DatabaseMonitor;
  metrics: Metrics;
  clientErrors: ClientErrors;
}

/** @param services that are measured */
export function createOps(services: Omit<MeasuredServices, "requests" | "database"> & { db: Db }): Ops {
  const requests = new RequestTally();
  const database = new DatabaseMonitor(services.db, services.now);
  const metrics = createMetrics({ ...services, requests, database });
  return { requests, database, metrics, clientErrors: new ClientErrors(services.now) };
}
