import { routes } from "../app.ts";
import { openApiText } from "../openapi/document.ts";

/** The text that `entries-server openapi` prints. */
export function openApiCommand(): string {
  return openApiText(routes);
}
