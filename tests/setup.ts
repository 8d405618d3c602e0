/**
 * Runs before every test run (bunfig.toml): a time limit that suits tests with real servers on a busy machine, the
 * end of the database that the tests share, and a look at what was logged.
 */
import { afterAll } from "bun:test";
import { plugin } from "bun";
import { stopTestCluster } from "./support/database.ts";
import { requireNoSecretsLogged } from "./support/loggedSecrets.ts";

const TIMEOUT_MS = 60_000;

// `setDefaultTimeout` counts for one file only, and bunfig.toml has no such setting: so each test file begins with it.
// On the file's first line, so that line numbers stay right.
plugin({
  name: "test time limit",
  setup(build) {
    build.onLoad({ filter: /\.test\.ts$/ }, async ({ path }) => ({
      loader: "ts",
      contents: `import { setDefaultTimeout as limitTests } from "bun:test"; limitTests(${TIMEOUT_MS}); ${await Bun.file(path).text()}`,
    }));
  },
});

afterAll(stopTestCluster);
afterAll(requireNoSecretsLogged);
