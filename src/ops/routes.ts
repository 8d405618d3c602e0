import { endpoint } from "../http/endpoint.ts";

export const opsRoutes = [
  endpoint(
    {
      method: "GET",
      path: "/api/heartbeat",
      summary: "Says that the process answers. Asks no database.",
      limit: "unlimited",
      tokens: {},
    },
    async () => undefined,
  ),
];
