/** Notes what a server asks of the database, statement by statement: each is a round trip. */
import type { Db, Executor } from "../../src/db/query.ts";
import type { TestDatabase } from "./database.ts";

/** In the statement that tells other processes of changes: now and then, for many requests at once. */
const BACKGROUND = "'container_changes'";

export interface WatchedDatabase {
  /** To start a server on. */
  database: TestDatabase;
  /** The texts of the statements since the last call, transaction commands included. */
  take(): string[];
}

/** The same database, with every statement of pools opened from now on noted down. */
export function watchStatements(database: TestDatabase): WatchedDatabase {
  const texts: string[] = [];
  return {
    database: { ...database, connect: () => watched(database.connect(), texts) as Db },
    take: () => texts.splice(0),
  };
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
          if (!text.includes(BACKGROUND)) texts.push(text);
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
