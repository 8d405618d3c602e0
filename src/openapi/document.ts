/** The description of the whole API (OpenAPI 3.1), made from the routes and the message definitions. */
import { version } from "../../package.json";
import type { Endpoint } from "../http/endpoint.ts";
import { MESSAGES } from "../messages.ts";
import { introduction } from "./introduction.ts";
import type { JsonObject } from "./json.ts";
import { APP_VERSION, operationOf, type SharedResponses } from "./operation.ts";
import { messageSchemas } from "./schemas.ts";
import { securitySchemes } from "./security.ts";
import { tagList } from "./tags.ts";

/** @param routes every route of the server */
export function openApiDocument(routes: readonly Endpoint[]): JsonObject {
  const shared: SharedResponses = new Map();
  const paths: Record<string, Record<string, JsonObject>> = {};
  for (const { spec } of routes) {
    paths[spec.path] = { ...paths[spec.path], [spec.method.toLowerCase()]: operationOf(spec, shared) };
  }
  const responses = [...shared].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    openapi: "3.1.1",
    info: {
      title: "entries-server",
      version,
      summary: "Stores and synchronises an end-to-end encrypted budgeting app.",
      description: introduction,
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [{ url: "/", description: "The server that gave you this description." }],
    tags: tagList,
    paths,
    components: {
      schemas: messageSchemas(MESSAGES),
      responses: Object.fromEntries(responses),
      parameters: { [APP_VERSION.name]: APP_VERSION },
      securitySchemes: securitySchemes(),
    },
  };
}

/** @returns the description as JSON text, indented, with a line break at its end */
export function openApiText(routes: readonly Endpoint[]): string {
  return `${JSON.stringify(openApiDocument(routes), undefined, 2)}\n`;
}
