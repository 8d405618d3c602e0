import type { EventStream, Watch, WatchKey } from "./stream.ts";

/** The streams of one process, and who watches what. */
export class OpenStreams {
  readonly #streams = new Set<EventStream>();
  readonly #watchers = new Map<string, Set<EventStream>>();

  add(stream: EventStream): void {
    this.#streams.add(stream);
    for (const container_id of stream.watches.keys()) {
      const watchers = this.#watchers.get(container_id) ?? new Set();
      this.#watchers.set(container_id, watchers.add(stream));
    }
  }

  /** What a stream that ends must call. */
  remove(stream: EventStream): void {
    this.#streams.delete(stream);
    for (const container_id of stream.watches.keys()) this.#unwatch(stream, container_id);
  }

  [Symbol.iterator](): Iterator<EventStream> {
    return this.#streams.values();
  }

  /** All of them, or those of a user. */
  count(user_id?: string): number {
    if (user_id === undefined) return this.#streams.size;
    return [...this.#streams].filter(({ owner }) => owner.user_id === user_id).length;
  }

  isWatched(container_id: string): boolean {
    return this.#watchers.has(container_id);
  }

  /** Tells all who watch a container how far it has come. */
  tellChange(container_id: string, cursor: bigint): void {
    for (const stream of this.#watchers.get(container_id) ?? []) {
      const watch = stream.watches.get(container_id);
      if (watch) stream.tellChange(watch, cursor);
    }
  }

  /** Forgets keys of a watch; with the last one the container is out of the client's reach. */
  keepKeys(stream: EventStream, watch: Watch, isLeft: (key: WatchKey) => boolean): void {
    watch.keys = watch.keys.filter(isLeft);
    if (watch.keys.length > 0) return;
    this.#unwatch(stream, watch.container_id);
    stream.tellGone(watch);
  }

  #unwatch(stream: EventStream, container_id: string): void {
    const watchers = this.#watchers.get(container_id);
    watchers?.delete(stream);
    if (watchers?.size === 0) this.#watchers.delete(container_id);
  }
}
