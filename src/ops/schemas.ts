/** JSON Schemas of what operators get, for the API's description. None of it is a message. */

const count = { type: "integer", minimum: 0 };
const text = { type: "string" };

export const HEALTH_SCHEMA = {
  type: "object",
  properties: {
    db_async_pool_state: {
      type: "object",
      properties: { connections: count, idle_connections: count },
      required: ["connections", "idle_connections"],
    },
    database: {
      type: "object",
      properties: { reachable: { type: "boolean" }, problem: text, schema_version: count },
      required: ["reachable"],
    },
    jobs: {
      type: "array",
      items: {
        type: "object",
        properties: {
          name: text,
          last_run_timestamp_ms: { type: "integer" },
          last_result: { enum: ["ok", "failed", "stopped", "none"] },
          last_duration_ms: { type: "number" },
          failed_runs: count,
          is_running: { type: "boolean" },
        },
        required: ["name", "last_run_timestamp_ms", "last_result", "failed_runs", "is_running"],
      },
    },
    version: text,
    uptime_secs: count,
  },
  required: ["db_async_pool_state", "database", "jobs", "version", "uptime_secs"],
};

export const STATUS_SCHEMA = {
  type: "object",
  properties: { status: text, reason: { type: "string", description: "Why the process should get no requests." } },
  required: ["status"],
};

export const REPORTS_SCHEMA = {
  type: "array",
  description: "The newest first.",
  items: {
    type: "object",
    properties: {
      msg: text,
      timestamp_ms: { type: "integer" },
      count: { type: "integer", minimum: 2, description: "How often it came in a row, where more than once." },
    },
    required: ["msg", "timestamp_ms"],
  },
};
