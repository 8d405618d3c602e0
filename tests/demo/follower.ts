import { EventReader } from "../events/eventReader.ts";
import { type Box, type Device, Refused } from "../support/client.ts";
import { type LocalCopy, SyncClient } from "../support/syncClient.ts";
import { Deviation, demand } from "./demand.ts";

/** No event for so long ends the following; longer than the server takes to look whether keys are still there. */
const PATIENCE_MS = 30_000;

/** A device that follows a container: it listens to the event stream, and asks for changes when it hears of some. */
export class Follower {
  /** Events that came. */
  events = 0;
  /** Whether an event said that the container is out of reach. */
  isGone = false;
  /** How asking for changes was refused, if it was. */
  refusal: string | undefined;
  /** Why no more events come; undefined while they may. */
  ending: string | undefined;
  readonly #sync: SyncClient;
  #heard = Promise.withResolvers<void>();

  private constructor(
    private readonly reader: EventReader,
    device: Device,
    private readonly box: Box,
  ) {
    this.#sync = new SyncClient(device, [box]);
    this.#listen().then(
      () => this.#end("the stream has ended"),
      (error) => this.#end(error instanceof Error ? error.message : String(error)),
    );
  }

  /** @throws Deviation */
  static async start(device: Device, box: Box): Promise<Follower> {
    const { send, base } = device.client;
    const response = await send(new Request(`${base}/api/container/events`, { headers: device.headers(box) }));
    demand(response.status === 200, `the event stream was answered ${response.status}`);
    return new Follower(new EventReader(response), device, box);
  }

  get copy(): LocalCopy {
    return this.#sync.copyOf(this.box);
  }

  /** Requests for changes that were made. */
  get requests(): number {
    return this.#sync.polls;
  }

  /**
   * Waits until nothing is missing, which is looked at after each event.
   *
   * @param missing says what is, in words
   * @throws Deviation when the events end before
   */
  async until(missing: () => string | undefined): Promise<void> {
    for (let what = missing(); what !== undefined; what = missing()) {
      if (this.ending !== undefined) throw new Deviation(`following by events: ${this.ending}, but ${what}`);
      await this.#heard.promise;
    }
  }

  close(): Promise<void> {
    return this.reader.close();
  }

  async #listen(): Promise<void> {
    for (;;) {
      const event = await this.reader.next(PATIENCE_MS);
      if (!event) return;
      this.events++;
      if (event.event === "gone") this.isGone = true;
      else await this.#catchUpTo(BigInt(event.data.cursor ?? 0));
      this.#wake();
    }
  }

  async #catchUpTo(cursor: bigint): Promise<void> {
    if (this.copy.cursor >= cursor || this.refusal !== undefined) return;
    try {
      await this.#sync.catchUp();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.refusal = error.type ?? String(error.status);
      return;
    }
    demand(this.copy.cursor >= cursor, "an event told of a change that /api/container/changes does not know");
  }

  #end(reason: string): void {
    this.ending = reason;
    this.#wake();
  }

  #wake(): void {
    this.#heard.resolve();
    this.#heard = Promise.withResolvers();
  }
}
