import { ApiError } from "../errors.ts";

/** What a body can be refused for (W17): it cannot be read, holds a Uuid or Timestamp that is none, or too many rows. */
export type RefusalType = "PREHANDLER" | "INVALID_MESSAGE" | "TOO_MANY_REQUESTED";

/**
 * Thrown while a body is read. The path grows from the inside out: each message the error passes on its way up
 * puts its own field in front, so the fast path keeps no record of where it is.
 */
export class Refusal extends Error {
  private path = "";

  /** @param reason the rest of a sentence that starts with the field's path; never quotes a value */
  constructor(
    readonly type: RefusalType,
    readonly reason: string,
  ) {
    super(reason);
  }

  /** Puts a field in front of the path. @param index the element's place when the field is repeated */
  inside(fieldName: string, index?: number): this {
    const step = index === undefined ? fieldName : `${fieldName}[${index}]`;
    const separator = this.path === "" ? "" : ".";
    this.path = `${step}${separator}${this.path}`;
    return this;
  }

  /** The answer for the client: one sentence that names the message and the field. */
  toApiError(messageName: string): ApiError {
    return new ApiError(this.type, `${messageName} cannot be read: ${this.path || "the body"} ${this.reason}.`);
  }
}

/**
 * Makes a Refusal of whatever a decoder threw. The protobuf library and the text decoder throw RangeError,
 * TypeError and Error, all of which mean one thing here: these bytes are not a message.
 */
export function asRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  return new Refusal("PREHANDLER", error instanceof RangeError ? "ends too early" : "is not valid protobuf");
}
