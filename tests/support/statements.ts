/** Counts what handlers ask of the database, statement by statement: each is a round trip. */
import type { Db, Executor } from "../../src/db/query.ts";
import type { TestServer } from "./server.ts";

export interface StatementCount {
  /** The texts of the statements since the last call, transaction commands included. */
  take(): string[];
}

/** Watches the database of a server's handlers from now on. Its access checks and their caches have their own way. */
export function countStatements(server: TestServer): StatementCount {
  const texts: string[] = [];
  server.services.db = watched(server.services.db, texts) as Db;
  return { take: () => texts.splice(0) };
}

function watched(db: Executor, texts: string[]): Executor {
  return new Proxy(db, {
    // A tagged template.
    apply(target, self, args) {
      texts.push(String((args[0] as readonly string[]).join("?")));
      return Reflect.apply(target as never, self, args);
    },
    get(target, name, receiver) {
      if (name === "unsafe") {
        return (text: string, ...rest: never[]) => {
          texts.push(text);
          return target.unsafe(text, ...rest);
        };
      }
      if (name === "begin") {
        return async (work: (transaction: Executor) => Promise<unknown>) => {
          texts.push("begin");
          const result = await (target as Db).begin((transaction) => work(watched(transaction, texts)));
          texts.push("commit");
          return result;
        };
      }
      return Reflect.get(target, name, receiver);
    },
  });
}
