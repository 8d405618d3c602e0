import { MESSAGES } from "../messages.ts";
import { protoText } from "../wire/proto.ts";

/** The text that `entries-server proto` prints. */
export function protoCommand(): string {
  return protoText(MESSAGES);
}
