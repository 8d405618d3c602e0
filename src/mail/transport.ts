import type { LogFields } from "../log.ts";
import type { Message } from "./message.ts";

/** A way out for mails. */
export interface Transport {
  /** How many mails may go out at the same time. */
  readonly parallelMax: number;
  /**
   * Tries once.
   * @returns what the log may know of the success
   * @throws DeliveryError
   */
  deliver(message: Message): Promise<LogFields>;
  /** Breaks off what is under way; those attempts fail. */
  close(): void;
}

/** A mail did not go out. */
export class DeliveryError extends Error {
  override readonly name = "DeliveryError";

  /**
   * @param isPermanent another attempt would end the same way
   * @param fields what the log may know of the reason: no address, no text of the relay
   */
  constructor(
    readonly isPermanent: boolean,
    readonly fields: LogFields,
    options?: ErrorOptions,
  ) {
    super("The mail was not delivered.", options);
  }
}
