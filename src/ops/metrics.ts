/**
 * What Prometheus is told (decision P8): numbers of this process, and of the jobs, which all processes share. Labels hold
 * names that are in the code, never anything that a client sent.
 */
import type { Metric, Registry } from "prom-client";
import { version } from "../../package.json";
import type { Passwords } from "../crypto/passwords.ts";
import type { PoolActivity } from "../db/activity.ts";
import type { LiveChanges } from "../events/liveChanges.ts";
import type { Histogram } from "../histogram.ts";
import type { Bounds } from "../http/bounds.ts";
import type { Limiter } from "../http/limits.ts";
import type { RevokedSessions } from "../http/revokedSessions.ts";
import type { Mailer } from "../mail/mailer.ts";
import type { DatabaseMonitor, DatabaseView } from "./databaseMonitor.ts";
import type { RequestTally } from "./requests.ts";

/** What is measured. */
export interface MeasuredServices {
  db: { activity: PoolActivity };
  database: DatabaseMonitor;
  requests: RequestTally;
  bounds: Bounds;
  passwords: Passwords;
  mailer: Mailer;
  revokedSessions: RevokedSessions;
  liveChanges: LiveChanges;
  limiter: Limiter;
  /** Milliseconds since the epoch. */
  now: () => number;
}

export interface Metrics {
  /** The Content-Type of the text. */
  contentType: string;
  /** Adds the label `process` to every sample: of several processes on one port, each scrape reaches any one. */
  nameProcess(name: string): void;
  /** Prometheus' text format 0.0.4. A database that is away delays it, by two seconds at most, but does not prevent it. */
  text(): Promise<string>;
}

/** prom-client's own numbers of the process that this runtime really has. */
const PROCESS_METRICS = new Set([
  "process_start_time_seconds",
  "process_resident_memory_bytes",
  "process_open_fds",
  "process_max_fds",
  "nodejs_eventloop_lag_seconds",
  "nodejs_eventloop_lag_p50_seconds",
  "nodejs_eventloop_lag_p99_seconds",
  "nodejs_eventloop_lag_max_seconds",
]);

/** How often the event loop is looked at. */
const EVENT_LOOP_PRECISION_MS = 20;

type Labels = Record<string, string | number>;
type Sample = readonly [labels: Labels, value: number];

/** Prometheus' text format, with its version. */
const CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/**
 * Nothing is set up before the first scrape, not even the library is loaded, so that a process which nobody watches pays
 * for its counters alone.
 */
export function createMetrics(services: MeasuredServices): Metrics {
  let opening: Promise<Registry> | undefined;
  let processName: string | undefined;
  let view: DatabaseView = { problem: "nobody has asked yet" };

  return {
    contentType: CONTENT_TYPE,
    nameProcess(name) {
      processName = name;
    },
    async text() {
      view = await services.database.look();
      opening ??= openRegistry(services, () => view);
      const registry = await opening;
      if (processName !== undefined) registry.setDefaultLabels({ process: processName });
      return registry.metrics();
    },
  };
}

/** @param view what the database said last */
async function openRegistry(services: MeasuredServices, view: () => DatabaseView): Promise<Registry> {
  const { collectDefaultMetrics, Registry } = await import("prom-client");
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: EVENT_LOOP_PRECISION_MS });
  for (const { name } of registry.getMetricsAsArray()) {
    if (!PROCESS_METRICS.has(name)) registry.removeSingleMetric(name);
  }
  gauge(registry, "entries_build_info", "The version of the server and of its runtime; always 1.", () => [
    [{ version, bun: Bun.version }, 1],
  ]);
  // prom-client's would begin to count at the first scrape.
  counter(registry, "process_cpu_seconds_total", "User and system CPU time in seconds.", () => {
    const { user, system } = process.cpuUsage();
    return [[{}, (user + system) / 1e6]];
  });
  addRequests(registry, services);
  addDatabase(registry, services, view);
  addQueues(registry, services);
  addJobs(registry, services, view);
  return registry;
}

function addRequests(registry: Registry, { requests, limiter, liveChanges, revokedSessions }: MeasuredServices): void {
  counter(registry, "entries_http_requests_total", "Requests by method, route pattern and status of the answer.", () =>
    [...requests].flatMap(({ method, route, statuses }) =>
      [...statuses].map(([status, count]): Sample => [{ method, route, status }, count]),
    ),
  );
  histogram(
    registry,
    "entries_http_request_duration_seconds",
    "Seconds from a request's arrival to the beginning of its answer, by method and route pattern.",
    () => [...requests].map(({ method, route, durations }) => [{ method, route }, durations]),
  );
  counter(registry, "entries_limiter_refusals_total", "Requests refused with 429, by limiter.", () =>
    limiter.refusals().map(({ limiter: name, count }) => [{ limiter: name }, count]),
  );
  gauge(registry, "entries_event_streams_open", "Streams of live changes.", () => [[{}, liveChanges.openCount()]]);
  gauge(registry, "entries_revoked_sessions", "Sessions that ended and whose access tokens may be unexpired.", () => [
    [{}, revokedSessions.size],
  ]);
}

function addDatabase(registry: Registry, { db: { activity } }: MeasuredServices, view: () => DatabaseView): void {
  gauge(registry, "entries_database_up", "Whether the database has answered: 1 or 0.", () => [
    [{}, "state" in view() ? 1 : 0],
  ]);
  gauge(
    registry,
    "entries_database_connections",
    "Connections of this process to the database, the one that listens included; missing while it is away.",
    () => {
      const seen = view();
      if (!("state" in seen)) return [];
      const { connections, idleConnections } = seen.state;
      return [
        [{ state: "idle" }, idleConnections],
        [{ state: "in_use" }, connections - idleConnections],
      ];
    },
  );
  gauge(registry, "entries_database_connections_max", "Most connections that the pool may have.", () => [
    [{}, activity.connectionsMax],
  ]);
  gauge(
    registry,
    "entries_database_statements",
    "Statements that are not answered yet, without those of transactions: waiting for a connection, or taken by one.",
    () => [
      [{ state: "waiting" }, activity.waiting],
      [{ state: "taken" }, activity.underWay - activity.waiting],
    ],
  );
  histogram(registry, "entries_database_wait_seconds", "Seconds that statements waited for a connection.", () => [
    [{}, activity.waits],
  ]);
  histogram(
    registry,
    "entries_database_statement_duration_seconds",
    "Seconds from the call of a statement to its answer, waiting included.",
    () => [[{}, activity.durations]],
  );
}

function addQueues(registry: Registry, { bounds, passwords, mailer }: MeasuredServices): void {
  const { wholeContainers, largeReads, bodyBytes, answerBytes } = bounds;
  gauge(registry, "entries_large_tasks", "Uploads and re-keyings, and reads of large containers, by state.", () =>
    Object.entries({ upload: wholeContainers, read: largeReads }).flatMap(([task, { running, pending }]): Sample[] => [
      [{ task, state: "running" }, running],
      [{ task, state: "waiting" }, pending - running],
    ]),
  );
  gauge(
    registry,
    "entries_large_message_bytes",
    "Bytes of bodies and answers over 1 MiB that are on their way.",
    () => [
      [{ message: "body" }, bodyBytes.used],
      [{ message: "answer" }, answerBytes.used],
    ],
  );
  gauge(registry, "entries_containers_changing", "Containers with changes that run or wait.", () => [
    [{}, bounds.containerWrites.busy],
  ]);
  gauge(registry, "entries_password_hashes", "Password hashes that are computed, or wait for it.", () => [
    [{ state: "running" }, passwords.running()],
    [{ state: "waiting" }, passwords.pending() - passwords.running()],
  ]);
  gauge(registry, "entries_mails_waiting", "Mails that are neither sent nor given up.", () => [
    [{}, mailer.stats().waiting],
  ]);
  counter(registry, "entries_mails_total", "Mails that were sent, and that were refused or given up.", () => [
    [{ result: "sent" }, mailer.stats().sent],
    [{ result: "failed" }, mailer.stats().failed],
  ]);
}

const JOB_RESULTS = ["ok", "failed", "stopped", "none"] as const;

/** While the database is away nothing is known of the jobs. */
function addJobs(registry: Registry, { now }: MeasuredServices, view: () => DatabaseView): void {
  const jobs = () => {
    const seen = view();
    return "state" in seen ? seen.state.jobs : [];
  };
  gauge(registry, "entries_job_last_result", "1 for the result of a job's last run, in whichever process.", () =>
    jobs().flatMap(({ name, result }) =>
      JOB_RESULTS.map((one): Sample => [{ job: name, result: one }, one === result ? 1 : 0]),
    ),
  );
  gauge(registry, "entries_job_age_seconds", "Seconds since a job's last run began.", () =>
    jobs().map(({ name, beganAt }) => [{ job: name }, Math.max(0, now() - beganAt) / 1000]),
  );
  gauge(registry, "entries_job_last_duration_seconds", "Seconds that a job's last run took.", () =>
    jobs().flatMap(({ name, durationMs }): Sample[] =>
      durationMs === undefined ? [] : [[{ job: name }, durationMs / 1000]],
    ),
  );
  gauge(registry, "entries_job_running", "Whether a job is running: 1 or 0.", () =>
    jobs().map(({ name, isRunning }) => [{ job: name }, isRunning ? 1 : 0]),
  );
  counter(registry, "entries_job_failed_runs_total", "Runs of a job that failed, since the database was made.", () =>
    jobs().map(({ name, failedRuns }) => [{ job: name }, failedRuns]),
  );
}

function gauge(registry: Registry, name: string, help: string, read: () => readonly Sample[]): void {
  register(registry, { name, help, type: "gauge" }, () => read().map(([labels, value]) => ({ labels, value })));
}

function counter(registry: Registry, name: string, help: string, read: () => readonly Sample[]): void {
  register(registry, { name, help, type: "counter" }, () => read().map(([labels, value]) => ({ labels, value })));
}

function histogram(
  registry: Registry,
  name: string,
  help: string,
  read: () => readonly (readonly [labels: Labels, histogram: Histogram])[],
): void {
  register(registry, { name, help, type: "histogram" }, () =>
    read().flatMap(([labels, { bounds, counts, sum }]) => {
      let count = 0;
      const buckets = Array.from(counts, (inBucket, index) => {
        count += inBucket;
        return { metricName: `${name}_bucket`, labels: { ...labels, le: bounds[index] ?? "+Inf" }, value: count };
      });
      return [
        ...buckets,
        { metricName: `${name}_sum`, labels, value: sum },
        { metricName: `${name}_count`, labels, value: count },
      ];
    }),
  );
}

interface Value {
  /** Where it is not the metric's own name. */
  metricName?: string;
  labels: Labels;
  value: number;
}

/**
 * A metric whose numbers are kept elsewhere and read at each scrape. prom-client's own classes look up labels at each
 * change, which takes longer than a heartbeat's handler; a registry asks nothing of a metric but this.
 */
function register(
  registry: Registry,
  description: { name: string; help: string; type: "gauge" | "counter" | "histogram" },
  read: () => Value[],
): void {
  const metric = { name: description.name, get: async () => ({ ...description, values: read() }) };
  registry.registerMetric(metric as unknown as Metric);
}
