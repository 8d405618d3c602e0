/** The API's description and the definitions of its messages, for tools. */
import type { Endpoint } from "../http/endpoint.ts";
import { storedAnswer } from "../http/storedAnswer.ts";
import { MESSAGES } from "../messages.ts";
import { protoText } from "../wire/proto.ts";
import { openApiText } from "./document.ts";

/** @param all gives every route of the server, these included */
export function openApiRoutes(all: () => readonly Endpoint[]): readonly Endpoint[] {
  return [
    storedAnswer({
      path: "/openapi.json",
      summary: "This description of the API, as OpenAPI 3.1.",
      contentType: "application/json",
      load: () => openApiText(all()),
    }),

    storedAnswer({
      path: "/schema.proto",
      summary: "The protobuf definitions of every message.",
      contentType: "text/plain; charset=utf-8",
      load: () => protoText(MESSAGES),
    }),
  ];
}
