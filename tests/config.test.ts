import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { checkConfig, printConfig } from "../src/commands/config.ts";
import { type Config, loadConfig } from "../src/config.ts";
import { parseCidrList } from "../src/http/address.ts";
import { sampleEnv } from "../src/sampleEnv.ts";
import { completeSecrets, SecretFileError } from "../src/secrets.ts";
import { IGNORED } from "../src/settings/reference.ts";
import { GROUPS, SETTINGS } from "../src/settings/table.ts";
import { settingsOf } from "../src/settings/tree.ts";

type Env = Record<string, string | undefined>;

const directory = mkdtempSync(join(tmpdir(), "entries-config-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function keyText(length: number, start = 0): string {
  return Buffer.from(Array.from({ length }, (_, index) => (start + index * 7) % 256)).toString("base64");
}

const SIGNING_KEY = keyText(64);
const HASH_KEY = keyText(32, 3);
/** What a database of one's own needs besides. */
const SECRETS: Env = { ENTRIES_TOKEN_SIGNING_KEY_B64: SIGNING_KEY, ENTRIES_AUTH_STRING_HASH_KEY_B64: HASH_KEY };
const DATABASE_PARTS: Env = {
  ENTRIES_DB_USERNAME: "entries",
  ENTRIES_DB_PASSWORD: "pw",
  ENTRIES_DB_HOSTNAME: "localhost",
  ENTRIES_DB_NAME: "entries_db",
};
const RELAY: Env = { ENTRIES_SMTP_ADDRESS: "mail.example.org", ENTRIES_EMAIL_FROM_ADDR: "Entries <e@example.org>" };

function configOf(env: Env, options = {}): Config {
  const result = loadConfig(env, options);
  if ("problems" in result) throw new Error(result.problems.join("\n"));
  return result.config;
}

function problemsOf(env: Env): string[] {
  const result = loadConfig(env);
  return "problems" in result ? result.problems : [];
}

test("P3: every setting stands in one of the GROUPS, from which sample.env is made, and in SETTINGS", () => {
  const grouped = GROUPS.flatMap(({ settings }) => settingsOf(settings));
  expect(grouped.map(({ env }) => env)).toEqual(settingsOf(SETTINGS).map(({ env }) => env));
});

describe("defaults", () => {
  test("P1, P2: without any variable the embedded database is used and secrets are still missing", () => {
    const result = loadConfig({});
    expect(result).toMatchObject({ warnings: [], ignored: [] });
    expect(configOf({})).toMatchObject({ database: { kind: "embedded" }, smtp: undefined, dataDir: "./entries-data" });
    expect(configOf({}).tokenSigningKey).toBeUndefined();
    expect(configOf({}).authStringHashKey).toBeUndefined();
  });

  test("platform 1.2: the numbers are the reference's, except where a decision says otherwise", () => {
    expect(configOf({})).toMatchObject({
      port: 9000,
      bindAddress: "127.0.0.1",
      databaseConnectionsMax: 10,
      databaseIdleTimeoutSecs: 30,
      databaseConnectionTimeoutSecs: 30,
      databaseLifetimeSecs: 300,
      authStringHashIterations: 4,
      authStringHashMemCostKib: 32768,
      hashQueueMax: 64,
      clientAuthStringHashIterations: 10,
      clientAuthStringHashMemCostKib: 65536,
      clientAuthStringHashThreads: 2,
      accessTokenLifetimeMins: 15,
      refreshTokenLifetimeDays: 30,
      signinTokenLifetimeMins: 30,
      otpLifetimeMins: 10,
      otpSendMax: 5,
      otpSendPeriodMins: 15,
      bodySizeMaxMb: 100,
      smallObjectSizeMaxKb: 4,
      keystoreSizeMaxKb: 80000,
      preferencesSizeMaxKb: 32,
      encryptionKeySizeMaxKb: 4,
      authStringLengthMax: 1024,
      containerFetchCountMax: 50,
      entriesPerContainerMax: 20000,
      categoriesPerContainerMax: 1000,
      corsAllowedOrigins: [],
      limiterWarnEvery: 50,
      signinLimiterMax: 6,
      signinLimiterPeriodSecs: 600,
      emailFrom: { name: "Entries", address: "entries@localhost" },
      emailReplyTo: { name: "Entries", address: "entries@localhost" },
      logLevel: "info",
      limiters: {
        create: { fairUse: { max: 20, periodSecs: 30 }, circuitBreaker: { max: 3000, periodSecs: 60 } },
        read: { fairUse: { max: 100, periodSecs: 30 }, circuitBreaker: { max: 5000, periodSecs: 60 } },
        modify: { fairUse: { max: 30, periodSecs: 30 }, circuitBreaker: { max: 3500, periodSecs: 60 } },
        "expensive-auth": { fairUse: { max: 8, periodSecs: 120 }, circuitBreaker: { max: 400, periodSecs: 60 } },
        "light-auth": { fairUse: { max: 15, periodSecs: 30 }, circuitBreaker: { max: 2000, periodSecs: 60 } },
        "error-report": { fairUse: { max: 10, periodSecs: 60 }, circuitBreaker: { max: 500, periodSecs: 60 } },
      },
    });
  });

  test("P5: loopback and private networks are trusted proxies", () => {
    expect(configOf({}).trustedProxies).toEqual(
      parseCidrList("127.0.0.0/8,::1/128,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7"),
    );
  });

  test("P3: no variable stands twice in the table, and none of it is ignored", () => {
    const names = settingsOf(SETTINGS).flatMap(({ env, alias }) => (alias ? [env, alias] : [env]));
    expect(names).toEqual([...new Set(names)]);
    expect(names.filter((name) => IGNORED.has(name))).toEqual([]);
  });
});

describe("types", () => {
  const accepted: [env: string, text: string, key: keyof Config, value: unknown][] = [
    ["ENTRIES_PORT", "+80", "port", 80],
    ["ENTRIES_PORT", "0", "port", 0],
    ["ENTRIES_PORT", "65535", "port", 65535],
    ["ENTRIES_BIND_ADDRESS", "::1", "bindAddress", "::1"],
    ["ENTRIES_BIND_ADDRESS", "[::]", "bindAddress", "::"],
    ["ENTRIES_BIND_ADDRESS", "localhost", "bindAddress", "localhost"],
    ["ENTRIES_TRUSTED_PROXIES", "", "trustedProxies", []],
    [
      "ENTRIES_TRUSTED_PROXIES",
      " 1.2.3.4 , 2001:db8::/32",
      "trustedProxies",
      parseCidrList("1.2.3.4/32,2001:db8::/32"),
    ],
    ["ENTRIES_CORS_ALLOWED_ORIGINS", " https://a.b ,, ", "corsAllowedOrigins", ["https://a.b"]],
    ["ENTRIES_LOG_LEVEL", "trace", "logLevel", "debug"],
    ["ENTRIES_LOG_LEVEL", "warn, some::module=trace", "logLevel", "warn"],
    ["ENTRIES_LOG_LEVEL", "some::module=trace", "logLevel", "debug"],
    ["ENTRIES_EMAIL_FROM_ADDR", "Entries <a@b.c>", "emailFrom", { name: "Entries", address: "a@b.c" }],
    ["ENTRIES_EMAIL_FROM_ADDR", '"Entries, Inc." <a@b.c>', "emailFrom", { name: "Entries, Inc.", address: "a@b.c" }],
    ["ENTRIES_EMAIL_FROM_ADDR", "a@b.c", "emailReplyTo", { name: "", address: "a@b.c" }],
    ["ENTRIES_LIMITER_WARN_EVERY_OVER_LIMIT", "0", "limiterWarnEvery", 0],
    ["ENTRIES_PORT", "8000", "publicUrl", "http://127.0.0.1:8000"],
    ["ENTRIES_PUBLIC_URL", "https://entries.example.org/app/", "publicUrl", "https://entries.example.org/app"],
    ["ENTRIES_PUBLIC_URL", "https://entries.example.org:8443", "passkeyDomain", "entries.example.org"],
    ["ENTRIES_SIGNUP", "closed", "signup", "closed"],
    ["ENTRIES_SIGNUP", "Example.org, a.b", "signup", { domains: ["example.org", "a.b"] }],
    ["ENTRIES_USER_DELETION_DELAY_DAYS", "0", "userDeletionDelayDays", 0],
  ];
  test.each(accepted)("P3: %s=%p is read (%s)", (env, text, key, value) => {
    expect(configOf({ [env]: text })[key]).toEqual(value as never);
  });

  const refused: [env: string, text: string][] = [
    ["ENTRIES_PORT", "65536"],
    ["ENTRIES_PUBLIC_URL", "entries.example.org"],
    ["ENTRIES_PUBLIC_URL", "https://entries.example.org/?a=b"],
    ["ENTRIES_PUBLIC_URL", "javascript:alert(1)"],
    ["ENTRIES_SIGNUP", "nobody"],
    ["ENTRIES_SIGNUP", "open, example.org"],
    ["ENTRIES_SIGNUP", ","],
    ["ENTRIES_PASSKEY_DOMAIN", "https://example.org"],
    ["ENTRIES_PORT", "-1"],
    ["ENTRIES_PORT", " 80"],
    ["ENTRIES_PORT", "8_0"],
    ["ENTRIES_PORT", "0x50"],
    ["ENTRIES_PORT", "80.0"],
    ["ENTRIES_PORT", "1e2"],
    ["ENTRIES_PORT", "99999999999999999999999999"],
    ["ENTRIES_EMAIL_ENABLED", "True"],
    ["ENTRIES_EMAIL_ENABLED", "1"],
    ["ENTRIES_BIND_ADDRESS", "0.0.0.0:9000"],
    ["ENTRIES_BIND_ADDRESS", "[127.0.0.1]"],
    ["ENTRIES_BIND_ADDRESS", "a b"],
    ["ENTRIES_TRUSTED_PROXIES", "10.0.0.0/33"],
    ["ENTRIES_TRUSTED_PROXIES", "proxy.local"],
    ["ENTRIES_TRUSTED_PROXIES", "::/129"],
    ["ENTRIES_TRUSTED_PROXIES", "::ffff:1.2.3.4/90"],
    ["ENTRIES_LOG_LEVEL", "loud"],
    ["ENTRIES_SMTP_SECURITY", "ssl"],
    ["ENTRIES_EMAIL_FROM_ADDR", "Entries"],
    ["ENTRIES_EMAIL_FROM_ADDR", "Entries <a@b.c>\r\nBcc: x@y.z"],
    ["ENTRIES_EMAIL_FROM_ADDR", "Entries <a@b.c> <d@e.f>"],
    ["ENTRIES_AUTH_STRING_HASH_MEM_COST_KIB", "19455"],
    ["ENTRIES_AUTH_STRING_HASH_ITERATIONS", "1"],
    ["ENTRIES_READ_FAIR_USE_LIMITER_PERIOD_SECS", "1209600"],
  ];
  test.each(refused)("P3, A1: %s=%p is one problem that begins with the name", (env, text) => {
    const problems = problemsOf({ ...RELAY, [env]: text });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toStartWith(`${env} must be `);
  });

  /** No delay at all, a job at every tick and never deleting are choices. */
  const ZERO_IS_A_CHOICE = /_DELAY_DAYS$|_JOB_FREQUENCY_SECS$|_IDLE_CONTAINER_MAX_AGE_DAYS$/;
  const lifetimes = settingsOf(SETTINGS).filter(
    ({ env }) => /_(MINS|DAYS|HOURS|SECS)$/.test(env) && !ZERO_IS_A_CHOICE.test(env),
  );
  test("P3: a lifetime or period of zero is refused", () => {
    expect(lifetimes.length).toBeGreaterThan(20);
    for (const { env } of lifetimes) {
      const problems = problemsOf({ ...RELAY, [env]: "0" });
      expect(problems, `${env} takes 0; if that is a choice, it belongs to ZERO_IS_A_CHOICE`).toEqual([
        expect.stringContaining(env),
      ]);
    }
  });

  test("platform 1.1: an empty text is no default; only texts and lists may be empty", () => {
    const refusing = settingsOf(SETTINGS).filter(({ type }) => !type.allowsEmpty);
    expect(refusing.length).toBeGreaterThan(50);
    const problems = problemsOf(Object.fromEntries(refusing.map(({ env }) => [env, ""])));
    for (const { env } of refusing) {
      expect(problems.filter((problem) => problem.startsWith(`${env} is empty`))).toHaveLength(1);
    }
  });
});

describe("secrets in the environment", () => {
  test("P2: keys are padded standard base64; what goes beyond their length is cut off, as in the reference", () => {
    const config = configOf({
      ENTRIES_TOKEN_SIGNING_KEY_B64: keyText(70),
      ENTRIES_TOKEN_ENCRYPTION_KEY_B64: keyText(16),
    });
    expect(config.tokenSigningKey).toEqual(new Uint8Array(Buffer.from(keyText(70), "base64").subarray(0, 64)));
    expect(config.tokenEncryptionKey).toHaveLength(16);
  });

  test.each([
    keyText(63),
    keyText(64).replace(/=+$/, ""),
    keyText(64).replace("/", "_").replace("+", "-"),
    `${keyText(64)} `,
    "not base64",
  ])("P2: the signing key %p is refused without being shown", (text) => {
    const problems = problemsOf({ ENTRIES_TOKEN_SIGNING_KEY_B64: text });
    expect(problems).toEqual([expect.stringMatching(/^ENTRIES_TOKEN_SIGNING_KEY_B64 must be .*at least 64 bytes/)]);
    expect(problems.join()).not.toContain(text.trim().slice(0, 12));
  });

  test("P2: every secret is also read from a file, without its last line end", () => {
    const path = join(directory, "key");
    for (const end of ["", "\n", "\r\n"]) {
      writeFileSync(path, SIGNING_KEY + end);
      expect(configOf({ ENTRIES_TOKEN_SIGNING_KEY_B64_FILE: path }).tokenSigningKey).toHaveLength(64);
    }
    writeFileSync(path, "postgres://a:b@db/entries\n");
    expect(configOf({ ...SECRETS, ENTRIES_DATABASE_URL_FILE: path }).database).toEqual({
      kind: "external",
      url: "postgres://a:b@db/entries",
    });
    writeFileSync(path, " pass word \n");
    const relay = { ...RELAY, ENTRIES_AMAZON_SES_USERNAME: "me" };
    expect(configOf({ ...relay, ENTRIES_AMAZON_SES_KEY_FILE: path }).smtp?.password).toBe(" pass word ");
  });

  test("P2: a secret that is given twice, or whose file cannot be read, is a problem that names the path", () => {
    const missing = join(directory, "missing");
    const both = { ENTRIES_TOKEN_SIGNING_KEY_B64: SIGNING_KEY, ENTRIES_TOKEN_SIGNING_KEY_B64_FILE: missing };
    expect(problemsOf(both)).toEqual([
      "ENTRIES_TOKEN_SIGNING_KEY_B64 and ENTRIES_TOKEN_SIGNING_KEY_B64_FILE are both set; remove one of them.",
    ]);
    expect(
      problemsOf({ ...DATABASE_PARTS, ...SECRETS, ENTRIES_DB_PASSWORD: undefined, ENTRIES_DB_PASSWORD_FILE: missing }),
    ).toEqual([`ENTRIES_DB_PASSWORD_FILE: cannot read the file "${missing}" (ENOENT).`]);
    expect(problemsOf({ ENTRIES_TOKEN_SIGNING_KEY_B64_FILE: directory })[0]).toContain("EISDIR");
  });

  test("P2: what is wrong in a file is told with its path and without its content", () => {
    const path = join(directory, "wrong");
    writeFileSync(path, "hunter2\n");
    const [problem = ""] = problemsOf({ ENTRIES_TOKEN_SIGNING_KEY_B64_FILE: path });
    expect(problem).toContain(path);
    expect(problem).not.toContain("hunter2");
  });

  test("P2: a key that nobody drew at random is a warning", () => {
    const result = loadConfig({ ENTRIES_TOKEN_SIGNING_KEY_B64: Buffer.alloc(64, 7).toString("base64") });
    expect(result.warnings).toEqual([expect.stringContaining("ENTRIES_TOKEN_SIGNING_KEY_B64 does not look random")]);
  });
});

describe("database", () => {
  test("P1: the parts of the reference become a URL, with everything percent-encoded", () => {
    const parts = {
      ...DATABASE_PARTS,
      ENTRIES_DB_USERNAME: "a@b",
      ENTRIES_DB_PASSWORD: "p:/?#%@ ü",
      ENTRIES_DB_NAME: "my db",
    };
    const { database } = configOf({ ...parts, ...SECRETS, ENTRIES_DB_PORT: "6543" });
    if (database.kind !== "external") throw new Error("not external");
    const url = new URL(database.url);
    expect(decodeURIComponent(url.username)).toBe("a@b");
    expect(decodeURIComponent(url.password)).toBe("p:/?#%@ ü");
    expect(decodeURIComponent(url.pathname)).toBe("/my db");
    expect(url.host).toBe("localhost:6543");
  });

  test("P1: an IPv6 host and an empty password have their place in the URL", () => {
    const env = { ...DATABASE_PARTS, ...SECRETS, ENTRIES_DB_HOSTNAME: "::1", ENTRIES_DB_PASSWORD: "" };
    expect(configOf(env).database).toEqual({ kind: "external", url: "postgres://entries:@[::1]:5432/entries_db" });
  });

  test("P1: sslmode stays in the URL; several hosts are fine", () => {
    const url = "postgresql://u:p@h1:5432,h2/db?sslmode=verify-full";
    expect(configOf({ ...SECRETS, ENTRIES_DATABASE_URL: url }).database).toEqual({ kind: "external", url });
  });

  test.each([
    "mysql://u:p@h/db",
    "postgres://u:p@h",
    "postgres://u:p@/db",
    "postgres://u:p@h/db?sslmode=yes",
    "postgres://u:100%@h/db",
    "postgres://u:%ff@h/db",
    "postgres://u:p@h:x/db",
    "postgres://u:p@h1,h2:x/db",
    "h/db",
  ])("P1: %p is refused without being shown", (url) => {
    expect(problemsOf({ ...SECRETS, ENTRIES_DATABASE_URL: url })).toEqual([
      expect.stringMatching(/^ENTRIES_DATABASE_URL must be a URL like /),
    ]);
    expect(problemsOf({ ...SECRETS, ENTRIES_DATABASE_URL: url }).join()).not.toContain(url);
  });

  test("P1: of the parts none may be missing, and the port alone is not enough", () => {
    expect(problemsOf({ ...SECRETS, ENTRIES_DB_PORT: "5432" })).toEqual(
      ["HOSTNAME", "NAME", "USERNAME", "PASSWORD"].map((part) =>
        expect.stringContaining(`ENTRIES_DB_${part} is missing`),
      ),
    );
  });

  test("P1: a URL and parts contradict each other", () => {
    expect(problemsOf({ ...SECRETS, ...DATABASE_PARTS, ENTRIES_DATABASE_URL: "postgres://u:p@h/db" })).toHaveLength(4);
  });

  test("P2: a database of one's own needs both keys, but not the encryption key (A2)", () => {
    expect(problemsOf(DATABASE_PARTS)).toEqual([
      expect.stringContaining("ENTRIES_TOKEN_SIGNING_KEY_B64 is missing"),
      expect.stringContaining("ENTRIES_AUTH_STRING_HASH_KEY_B64 is missing"),
    ]);
    expect(problemsOf({ ...DATABASE_PARTS, ...SECRETS })).toEqual([]);
  });
});

describe("mail", () => {
  test("P4: the reference's SES variables are the relay's user and password; port and encryption have defaults", () => {
    const env = { ...RELAY, ENTRIES_AMAZON_SES_USERNAME: "user", ENTRIES_AMAZON_SES_KEY: "key" };
    expect(configOf(env).smtp).toMatchObject({
      host: "mail.example.org",
      port: 587,
      security: "starttls",
      username: "user",
      password: "key",
    });
  });

  test("P4: the port follows the encryption unless it is given", () => {
    expect(configOf({ ...RELAY, ENTRIES_SMTP_SECURITY: "tls" }).smtp?.port).toBe(465);
    expect(configOf({ ...RELAY, ENTRIES_SMTP_SECURITY: "plain" }).smtp?.port).toBe(25);
    expect(configOf({ ...RELAY, ENTRIES_SMTP_SECURITY: "tls", ENTRIES_SMTP_PORT: "2465" }).smtp?.port).toBe(2465);
  });

  test("P4: empty credentials are none; the new names win over the old ones", () => {
    const empty = { ...RELAY, ENTRIES_AMAZON_SES_USERNAME: "", ENTRIES_AMAZON_SES_KEY: "" };
    expect(configOf(empty).smtp).toMatchObject({ username: undefined, password: undefined });
    const both = {
      ...RELAY,
      ENTRIES_SMTP_USERNAME: "new",
      ENTRIES_SMTP_PASSWORD: "p",
      ENTRIES_AMAZON_SES_USERNAME: "old",
    };
    expect(configOf(both).smtp?.username).toBe("new");
    expect(loadConfig(both).warnings).toEqual([
      "ENTRIES_AMAZON_SES_USERNAME has no effect, because ENTRIES_SMTP_USERNAME is set too.",
    ]);
  });

  test.each<[string, Env]>([
    ["ENTRIES_EMAIL_FROM_ADDR is missing", { ENTRIES_SMTP_ADDRESS: "mail.example.org" }],
    ["ENTRIES_SMTP_PASSWORD is missing", { ...RELAY, ENTRIES_SMTP_USERNAME: "user" }],
    ["ENTRIES_SMTP_USERNAME is missing", { ...RELAY, ENTRIES_SMTP_PASSWORD: "pw" }],
    ["ENTRIES_SMTP_PORT is set, but ENTRIES_SMTP_ADDRESS is missing", { ENTRIES_SMTP_PORT: "25" }],
    ["ENTRIES_EMAIL_ENABLED=true needs ENTRIES_SMTP_ADDRESS", { ENTRIES_EMAIL_ENABLED: "true" }],
  ])("P4: %s", (problem, env) => {
    expect(problemsOf(env)).toEqual([expect.stringContaining(problem)]);
  });

  test("P4: mail that is switched off needs nothing and goes to no relay", () => {
    const env = { ENTRIES_EMAIL_ENABLED: "false", ENTRIES_SMTP_ADDRESS: "h", ENTRIES_AMAZON_SES_USERNAME: "u" };
    expect(configOf(env).smtp).toBeUndefined();
    expect(loadConfig({ ...RELAY, ENTRIES_EMAIL_ENABLED: "true" }).ignored).toEqual(["ENTRIES_EMAIL_ENABLED"]);
  });

  test("P4: a database of one's own without a relay, and a password in clear, are warnings", () => {
    expect(loadConfig({ ...DATABASE_PARTS, ...SECRETS }).warnings).toEqual([
      expect.stringContaining("No mail is sent"),
    ]);
    const plain = { ...RELAY, ENTRIES_SMTP_SECURITY: "plain", ENTRIES_SMTP_USERNAME: "u", ENTRIES_SMTP_PASSWORD: "p" };
    expect(loadConfig(plain).warnings).toEqual([expect.stringContaining("unencrypted")]);
    expect(loadConfig({ ...plain, ENTRIES_SMTP_ADDRESS: "localhost" }).warnings).toEqual([]);
    expect(loadConfig({ ...RELAY, ENTRIES_SMTP_PORT: "465" }).warnings).toEqual([expect.stringContaining("=tls")]);
  });
});

describe("between settings", () => {
  test("P3: all problems are reported at once, and none is drawn from a value that is itself wrong", () => {
    const env = {
      ENTRIES_PORT: "many",
      ENTRIES_DATABASE_URL: "nonsense",
      ENTRIES_ACCESS_TOKEN_LIFETIME_MINS: "0",
      ENTRIES_REFRESH_TOKEN_LIFETIME_DAYS: "1",
      ENTRIES_AUTH_STRING_HASH_KEY_B64: "short",
    };
    expect(problemsOf(env)).toEqual([
      expect.stringContaining('ENTRIES_PORT must be a whole number from 0 to 65535, not "many".'),
      expect.stringContaining("ENTRIES_DATABASE_URL must be"),
      expect.stringContaining("ENTRIES_AUTH_STRING_HASH_KEY_B64 must be"),
      expect.stringContaining("ENTRIES_ACCESS_TOKEN_LIFETIME_MINS must be"),
      expect.stringContaining("ENTRIES_TOKEN_SIGNING_KEY_B64 is missing"),
    ]);
  });

  test("P3: an access token lives no longer than a refresh token", () => {
    const day = { ENTRIES_REFRESH_TOKEN_LIFETIME_DAYS: "1" };
    expect(problemsOf({ ...day, ENTRIES_ACCESS_TOKEN_LIFETIME_MINS: "1440" })).toEqual([]);
    expect(problemsOf({ ...day, ENTRIES_ACCESS_TOKEN_LIFETIME_MINS: "1441" })).toHaveLength(1);
  });

  test("A14: clients hash with 2 iterations, or with 1 and 46 MiB", () => {
    const once = { ENTRIES_CLIENT_AUTH_STRING_HASH_ITERATIONS: "1" };
    expect(problemsOf({ ...once, ENTRIES_CLIENT_AUTH_STRING_HASH_MEM_COST_KIB: "47104" })).toEqual([]);
    expect(problemsOf({ ...once, ENTRIES_CLIENT_AUTH_STRING_HASH_MEM_COST_KIB: "47103" })).toHaveLength(1);
  });

  test("P5: the old switch for X-Forwarded-For trusts nobody when off, and contradicts a list of proxies", () => {
    const name = "ENTRIES_RATE_LIMITER_USE_X_FORWARDED_FOR";
    expect(configOf({ [name]: "false" }).trustedProxies).toEqual([]);
    expect(configOf({ [name]: "false", ENTRIES_TRUSTED_PROXIES: "" }).trustedProxies).toEqual([]);
    expect(problemsOf({ [name]: "false", ENTRIES_TRUSTED_PROXIES: "10.0.0.1" })).toHaveLength(1);
    expect(loadConfig({ [name]: "true" }).ignored).toEqual([name]);
    expect(configOf({ [name]: "true" }).trustedProxies).toEqual(configOf({}).trustedProxies);
  });

  test("P7: an allowed origin that no browser sends is a warning", () => {
    const origins = "https://a.b,*,https://c.d/,http://localhost:3000,capacitor://localhost";
    const { warnings } = loadConfig({ ENTRIES_CORS_ALLOWED_ORIGINS: origins });
    expect(warnings).toEqual([expect.stringContaining('"*"'), expect.stringContaining('"https://c.d/"')]);
  });
});

describe("names", () => {
  /** platform 1.2 and 1.3, with the values of the sample file. */
  const REFERENCE: Env = {
    ...DATABASE_PARTS,
    ...SECRETS,
    ENTRIES_DB_PORT: "5432",
    ENTRIES_TOKEN_ENCRYPTION_KEY_B64: keyText(16),
    ENTRIES_AUTH_STRING_HASH_LENGTH: "32",
    ENTRIES_AUTH_STRING_HASH_ITERATIONS: "4",
    ENTRIES_AUTH_STRING_HASH_MEM_COST_KIB: "32768",
    ENTRIES_AUTH_STRING_HASH_THREADS: "1",
    ENTRIES_AUTH_STRING_HASH_SALT_LENGTH: "16",
    ENTRIES_EMAIL_ENABLED: "false",
    ENTRIES_EMAIL_FROM_ADDR: "Entries <a@example.org>",
    ENTRIES_EMAIL_REPLY_TO_ADDR: "Entries <b@example.org>",
    ENTRIES_SMTP_ADDRESS: "email-smtp.us-west-2.amazonaws.com",
    ENTRIES_AMAZON_SES_USERNAME: "",
    ENTRIES_AMAZON_SES_KEY: "",
    ENTRIES_MAX_SMTP_CONNECTIONS: "24",
    ENTRIES_SMTP_IDLE_TIMEOUT_SECS: "30",
    ENTRIES_USER_DELETION_URL: "http://localhost:9000/api/user/delete",
    ENTRIES_USER_DELETION_TOKEN_LIFETIME_DAYS: "3",
    ENTRIES_USER_DELETION_DELAY_DAYS: "7",
    ENTRIES_BIND_ADDRESS: "0.0.0.0",
    ENTRIES_ACTIX_WORKER_COUNT: "12",
    ENTRIES_MAX_CONTAINERS: "5000",
    ENTRIES_HEALTH_ENDPOINT_KEY: "k",
    ENTRIES_CLIENT_ERRORS_ENDPOINT_KEY: "k",
    ENTRIES_SIGNIN_LIMITER_FREQUENCY_HOURS: "4",
    ENTRIES_LIMITER_CLEAR_FREQUENCY_HOURS: "24",
    ENTRIES_RATE_LIMITER_USE_X_FORWARDED_FOR: "true",
    ENTRIES_LIGHT_AUTH_FAIR_USE_LIMITER_MAX_PER_PERIOD: "16",
    ENTRIES_ERROR_REPORT_FAIR_USE_MAX_PER_PERIOD: "10",
    ENTRIES_JOB_RUNNER_UPDATE_FREQUENCY_SECS: "5",
    ENTRIES_JOB_RUNNER_UPDATE_FREQUENCY_MS: "5",
    ENTRIES_JOB_RUNNER_WORKER_THREADS: "12",
    ENTRIES_JOB_RUNNER_MAX_BLOCKING_THREADS: "40",
    ENTRIES_CLEAR_EXPIRED_CONTAINER_INVITES_JOB_FREQUENCY_SECS: "43200",
    ENTRIES_CLEAR_EXPIRED_OTPS_JOB_FREQUENCY_SECS: "900",
    ENTRIES_CLEAR_OLD_USER_DELETION_REQUESTS_JOB_FREQUENCY_SECS: "3540",
    ENTRIES_CLEAR_UNVERIFIED_USERS_JOB_FREQUENCY_SECS: "7200",
    ENTRIES_CLEAR_UNVERIFIED_USERS_MAX_USER_AGE_DAYS: "7",
    ENTRIES_DELETE_USERS_JOB_FREQUENCY_SECS: "86400",
    ENTRIES_UNBLACKLIST_EXPIRED_TOKENS_JOB_FREQUENCY_SECS: "172800",
  };

  test("P3: an environment file of the reference is accepted; what means nothing here is named, nothing is called a typo", () => {
    const result = loadConfig(REFERENCE);
    expect("problems" in result ? result.problems : []).toEqual([]);
    expect(result.warnings).toEqual([
      expect.stringContaining("nobody can confirm a deletion"), // its sample names a path that does not exist (C21)
      expect.stringContaining("No mail is sent"),
    ]);
    expect(result.ignored).toContain("ENTRIES_ACTIX_WORKER_COUNT");
    expect(result.ignored).not.toContain("ENTRIES_USER_DELETION_URL");
    expect(result.ignored).not.toContain("ENTRIES_MAX_SMTP_CONNECTIONS");
  });

  test("P3: an unknown name is a warning that tells the nearest one; other programs' variables are not looked at", () => {
    const { warnings } = loadConfig({
      ENTRIES_PROT: "1",
      ENTRIES_ACCESS_TOKEN_LIFETIME_MIN: "1",
      ENTRIES_SOMETHING_ELSE_ENTIRELY: "1",
      ENTRIES_PORT_FILE: "/x",
      PATH: "/bin",
    });
    expect(warnings).toEqual([
      expect.stringContaining(
        "ENTRIES_ACCESS_TOKEN_LIFETIME_MIN is not a setting of this server and has no effect; did you mean ENTRIES_ACCESS_TOKEN_LIFETIME_MINS?",
      ),
      expect.stringContaining("ENTRIES_PORT_FILE is not a setting of this server and has no effect: only secrets"),
      expect.stringContaining("did you mean ENTRIES_PORT?"),
      "ENTRIES_SOMETHING_ELSE_ENTIRELY is not a setting of this server and has no effect.",
    ]);
  });

  test("P3: whatever the environment holds, the configuration is read or refused with sentences, and secrets stay secret", () => {
    const settings = settingsOf(SETTINGS);
    const anyEnv = fc.dictionary(
      fc.constantFrom(...settings.map(({ env }) => env)),
      fc.string({ unit: "binary", minLength: 0 }),
    );
    fc.assert(
      fc.property(anyEnv, fc.stringMatching(/^[!-~]{16,40}$/), (env, secret) => {
        for (const setting of settings) if (setting.isSecret) env[setting.env] = secret;
        const result = loadConfig(env);
        for (const sentence of "problems" in result ? result.problems : []) {
          expect(sentence).toMatch(/^ENTRIES_[A-Z0-9_]+\b.*\.$/s);
          expect(sentence).not.toContain(secret);
        }
        expect(printConfig(result).text).not.toContain(secret);
      }),
      { numRuns: 200 },
    );
  });
});

describe("commands", () => {
  test("P3: sample.env is what the table says; `config sample` writes it anew", () => {
    expect(readFileSync(new URL("../sample.env", import.meta.url), "utf8")).toBe(sampleEnv());
  });

  test("P3: every default of sample.env, uncommented, is accepted and changes nothing", () => {
    const lines = [...sampleEnv().matchAll(/^# (ENTRIES_[A-Z0-9_]+)=(.+)$/gm)];
    const env = Object.fromEntries(lines.map(([, name = "", value]) => [name, value]));
    expect(lines.length).toBeGreaterThan(50);
    for (const name of ["ENTRIES_DB_PORT", "ENTRIES_SMTP_SECURITY"]) delete env[name]; // mean something only with others
    expect(configOf(env)).toEqual(configOf({}));
  });

  test("P3: `config check` ends with 2 and every problem, or with 0 and ok", () => {
    expect(checkConfig(loadConfig({}))).toEqual({ text: "configuration: ok\n", status: 0 });
    const doubtful = checkConfig(loadConfig({ ENTRIES_PROT: "1", ENTRIES_ACTIX_WORKER_COUNT: "1" }));
    expect(doubtful.status).toBe(0);
    expect(doubtful.text).toMatch(
      /^warning: ENTRIES_PROT .*\nno effect here: ENTRIES_ACTIX_WORKER_COUNT\nconfiguration: ok\n$/,
    );
    const wrong = checkConfig(loadConfig({ ENTRIES_PORT: "x", ENTRIES_LOG_LEVEL: "y" }));
    expect(wrong.status).toBe(2);
    expect(wrong.text).toMatch(/^problem: ENTRIES_PORT .*\nproblem: ENTRIES_LOG_LEVEL .*\n$/);
  });

  test("P3: `config print` tells values and where they come from, and no secret", () => {
    const env = { ...RELAY, ENTRIES_AMAZON_SES_USERNAME: "me", ENTRIES_AMAZON_SES_KEY: "hunter2", ...SECRETS };
    const { text, status } = printConfig(loadConfig(env, { port: "81" }));
    expect(status).toBe(0);
    expect(text).toContain("ENTRIES_PORT=81  # --port\n");
    expect(text).toContain("ENTRIES_SMTP_ADDRESS=mail.example.org  # environment\n");
    expect(text).toContain("ENTRIES_SMTP_USERNAME=me  # environment, ENTRIES_AMAZON_SES_USERNAME\n");
    expect(text).toContain("ENTRIES_SMTP_PASSWORD=(secret)  # environment, ENTRIES_AMAZON_SES_KEY\n");
    expect(text).toContain("# ENTRIES_DATABASE_URL is not set\n");
    for (const secret of ["hunter2", SIGNING_KEY, HASH_KEY]) expect(text).not.toContain(secret);
  });

  test("platform 1.4: the command line wins over the environment", () => {
    expect(configOf({ ENTRIES_PORT: "1", ENTRIES_DATA_DIR: "/a" }, { port: "2", dataDir: "/b" })).toMatchObject({
      port: 2,
      dataDir: "/b",
    });
  });
});

describe("generated secrets", () => {
  const freshDir = () => join(mkdtempSync(join(directory, "data-")), "new");
  const secretsModule = new URL("../src/secrets.ts", import.meta.url).pathname;
  const configModule = new URL("../src/config.ts", import.meta.url).pathname;

  test("P2: missing secrets are made once, readable by their owner alone, and the same at the next start", () => {
    const dataDir = freshDir();
    const first = completeSecrets(configOf({}), dataDir);
    expect(first.tokenSigningKey).toHaveLength(64);
    expect(first.authStringHashKey).toHaveLength(32);
    expect(completeSecrets(configOf({}), dataDir)).toEqual(first);
    expect(completeSecrets(configOf({}), freshDir()).tokenSigningKey).not.toEqual(first.tokenSigningKey);

    const secretsDir = join(dataDir, "secrets");
    expect(statSync(secretsDir).mode & 0o777).toBe(0o700);
    expect(readdirSync(secretsDir).sort()).toEqual(["auth-string-hash-key", "token-signing-key"]);
    for (const name of readdirSync(secretsDir)) expect(statSync(join(secretsDir, name)).mode & 0o777).toBe(0o600);
  });

  test("P2: a file that was made can be handed to a server with another database", () => {
    const dataDir = freshDir();
    const { tokenSigningKey } = completeSecrets(configOf({}), dataDir);
    const file = join(dataDir, "secrets", "token-signing-key");
    expect(configOf({ ENTRIES_TOKEN_SIGNING_KEY_B64_FILE: file }).tokenSigningKey).toEqual(tokenSigningKey);
  });

  test("P2: what the environment gives is taken and not written down", () => {
    const dataDir = freshDir();
    const complete = completeSecrets(configOf({ ENTRIES_AUTH_STRING_HASH_KEY_B64: HASH_KEY }), dataDir);
    expect(complete.authStringHashKey.toBase64()).toBe(HASH_KEY);
    expect(readdirSync(join(dataDir, "secrets"))).toEqual(["token-signing-key"]);
  });

  test("P2: servers that start at once end up with the same secrets", async () => {
    const dataDir = freshDir();
    const script = `
      import { completeSecrets } from ${JSON.stringify(secretsModule)};
      import { loadConfig } from ${JSON.stringify(configModule)};
      while (Date.now() < ${Date.now() + 700}) {}
      const { tokenSigningKey, authStringHashKey } = completeSecrets(loadConfig({}).config, ${JSON.stringify(dataDir)});
      console.log(tokenSigningKey.toBase64(), authStringHashKey.toBase64());`;
    const starts = Array.from({ length: 4 }, () => Bun.spawn([process.execPath, "-e", script], { stderr: "inherit" }));
    const outputs = await Promise.all(starts.map(({ stdout }) => new Response(stdout).text()));
    expect(outputs[0]).toMatch(/^\S{88} \S{44}\n$/);
    expect(new Set(outputs).size).toBe(1);
    expect(readdirSync(join(dataDir, "secrets")).sort()).toEqual(["auth-string-hash-key", "token-signing-key"]);
  });

  test("P2: the draft that a crash left behind is no secret and does no harm", () => {
    const dataDir = freshDir();
    mkdirSync(join(dataDir, "secrets"), { recursive: true });
    writeFileSync(join(dataDir, "secrets", "new-crashed"), "AAAA");
    expect(completeSecrets(configOf({}), dataDir).tokenSigningKey).toHaveLength(64);
  });

  test.each(["", "AAAA", SIGNING_KEY.slice(0, 80), "not base64"])(
    "P2: a file that holds %p is an error with its path, and is left as it is",
    (content) => {
      const dataDir = freshDir();
      completeSecrets(configOf({}), dataDir);
      const path = join(dataDir, "secrets", "token-signing-key");
      writeFileSync(path, content);
      expect(() => completeSecrets(configOf({}), dataDir)).toThrow(SecretFileError);
      expect(() => completeSecrets(configOf({}), dataDir)).toThrow(path);
      expect(readFileSync(path, "utf8")).toBe(content);
    },
  );

  test("P2: the key of existing password hashes is never made anew", () => {
    const dataDir = freshDir();
    expect(() => completeSecrets(configOf({}), dataDir, true)).toThrow("auth-string-hash-key is missing");
    const { authStringHashKey } = completeSecrets(configOf({}), dataDir, false);
    expect(completeSecrets(configOf({}), dataDir, true).authStringHashKey).toEqual(authStringHashKey);
  });

  test("P2: a directory that may not be written to is an error with the path", () => {
    const dataDir = freshDir();
    mkdirSync(dataDir, { recursive: true });
    writeFileSync(join(dataDir, "secrets"), "a file in the way");
    chmodSync(join(dataDir, "secrets"), 0o600);
    expect(() => completeSecrets(configOf({}), dataDir)).toThrow(join(dataDir, "secrets"));
  });

  test("P2: with a database of one's own nothing is made up", () => {
    const config = { ...configOf({ ...DATABASE_PARTS, ...SECRETS }), tokenSigningKey: undefined };
    const dataDir = freshDir();
    expect(() => completeSecrets(config, dataDir)).toThrow("ENTRIES_TOKEN_SIGNING_KEY_B64 is missing");
    expect(() => statSync(dataDir)).toThrow();
  });
});
