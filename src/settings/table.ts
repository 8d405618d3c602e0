/**
 * Every setting of the server, once. The loader, `config print` and sample.env are all made from this table, and the
 * shape of `Config` is the shape of the table. To add a setting, add it here and run
 * `bun src/main.ts config sample > sample.env`.
 */
import { DEFAULT_TRUSTED_PROXIES } from "../http/address.ts";
import { LIMITER_PERIOD_MAX_SECS, limiterClass, optional, setting } from "./setting.ts";
import {
  boolean,
  databaseUrl,
  host,
  integer,
  list,
  logLevel,
  mailbox,
  networks,
  oneOf,
  secretBytes,
  semanticVersion,
  signupPolicy,
  text,
  textOrEmpty,
  webAddress,
} from "./types.ts";

const U32_MAX = 4_294_967_295;
const I32_MAX = 2_147_483_647;
const DAY_SECS = 86_400;
const YEAR_MINS = 525_600;
/** 1 GiB: more than a process handles in one piece. */
const SIZE_MAX_KB = 1_048_576;
/** 4 GiB. */
const HASH_MEMORY_MAX_KIB = 4_194_304;
/** The least memory with which argon2id counts as safe, for 2 iterations (decision A1). */
const HASH_MEMORY_MIN_KIB = 19_456;

/** Where mail relays listen, by ENTRIES_SMTP_SECURITY. */
const SMTP_PORTS: Readonly<Record<string, string>> = { starttls: "587", tls: "465", plain: "25" };

/** The host of a web address; undefined when it is none. */
function hostOf(url: string | undefined): string | undefined {
  return URL.canParse(url ?? "") ? new URL(url ?? "").hostname : undefined;
}

const SERVER = {
  bindAddress: setting(
    "ENTRIES_BIND_ADDRESS",
    host,
    "127.0.0.1",
    "Address to listen on; 0.0.0.0 or :: is every address of this machine.",
  ),
  port: setting(
    "ENTRIES_PORT",
    integer(0, 65_535),
    "9000",
    "TCP port to listen on; 0 takes a free one. The option --port wins.",
  ),
  getBodyPort: optional(
    "ENTRIES_GET_BODY_PORT",
    integer(0, 65_535),
    "A second TCP port, plain HTTP, for older clients that read containers by a GET with a body. A proxy leads GET /api/container there. 0 takes a free one.",
  ),
  tls: {
    certFile: optional(
      "ENTRIES_TLS_CERT_FILE",
      text("the path of a file with a certificate and those between it and its authority (PEM)"),
      "The certificate for HTTPS, read again on SIGHUP. Without it the server speaks plain HTTP, for a proxy in front of it.",
    ),
    keyFile: optional(
      "ENTRIES_TLS_KEY_FILE",
      text("the path of a file with a private key (PEM)"),
      "That certificate's private key, without a passphrase.",
    ),
  },
  publicUrl: setting(
    "ENTRIES_PUBLIC_URL",
    webAddress,
    (read) => `${read("ENTRIES_TLS_CERT_FILE") === undefined ? "http" : "https"}://127.0.0.1:${read("ENTRIES_PORT")}`,
    "Where clients reach this server, the base of the links in mails. Default: http://127.0.0.1, or https with a certificate, and the port.",
  ),
  dataDir: setting(
    "ENTRIES_DATA_DIR",
    text("the path of a directory"),
    "./entries-data",
    "Directory of the embedded database, of generated secrets and of mail that is not sent. The option --data-dir wins.",
  ),
  corsAllowedOrigins: setting(
    "ENTRIES_CORS_ALLOWED_ORIGINS",
    list,
    "",
    "Origins of web apps that may use this server from elsewhere (CORS), with cookies too, like https://app.example.org, separated by commas.",
  ),
  appVersionMin: optional(
    "ENTRIES_MIN_APP_VERSION",
    semanticVersion,
    "Apps that say in the header AppVersion that they are older are refused. Without it all versions may come.",
  ),
  trustedProxies: setting(
    "ENTRIES_TRUSTED_PROXIES",
    networks,
    DEFAULT_TRUSTED_PROXIES,
    "Addresses and networks of proxies whose X-Forwarded-For header is believed, separated by commas; empty: of none.",
  ),
  logLevel: setting(
    "ENTRIES_LOG_LEVEL",
    logLevel,
    "info",
    "The least important events to log: error, warn, info or debug.",
  ),
};

const DATABASE = {
  externalDatabase: {
    url: optional(
      "ENTRIES_DATABASE_URL",
      databaseUrl,
      "A PostgreSQL database. Without it and without ENTRIES_DB_HOSTNAME and its companions the embedded one in the data directory is used.",
      { isSecret: true },
    ),
    hostname: optional("ENTRIES_DB_HOSTNAME", host, "The other way to name a database, in parts: its host."),
    port: setting("ENTRIES_DB_PORT", integer(1, 65_535), "5432", "Its port."),
    name: optional("ENTRIES_DB_NAME", text("the name of a database"), "Its name."),
    username: optional("ENTRIES_DB_USERNAME", text("the name of a database role"), "The role to connect as."),
    password: optional("ENTRIES_DB_PASSWORD", textOrEmpty, "The password of that role.", {
      isSecret: true,
    }),
  },
  databaseConnectionsMax: setting(
    "ENTRIES_DB_MAX_CONNECTIONS",
    integer(1, 10_000),
    "10",
    "Most connections to the database at a time.",
  ),
  databaseIdleTimeoutSecs: setting(
    "ENTRIES_DB_IDLE_TIMEOUT_SECS",
    integer(1, DAY_SECS),
    "30",
    "Seconds after which an idle connection is closed.",
  ),
  databaseConnectionTimeoutSecs: setting(
    "ENTRIES_DB_CONNECTION_TIMEOUT_SECS",
    integer(1, DAY_SECS),
    "30",
    "Longest wait for a connection in seconds.",
  ),
  databaseLifetimeSecs: setting(
    "ENTRIES_DB_MAX_LIFETIME_SECS",
    integer(1, 30 * DAY_SECS),
    "300",
    "Seconds after which a connection is replaced by a new one.",
  ),
};

const SECRETS = {
  tokenSigningKey: optional(
    "ENTRIES_TOKEN_SIGNING_KEY_B64",
    secretBytes(64),
    "Signs tokens. Changing it ends every session.",
    { isSecret: true },
  ),
  authStringHashKey: optional(
    "ENTRIES_AUTH_STRING_HASH_KEY_B64",
    secretBytes(32),
    "Goes into every password hash. Without it no password can be checked ever again: keep a copy.",
    { isSecret: true },
  ),
  tokenEncryptionKey: optional(
    "ENTRIES_TOKEN_ENCRYPTION_KEY_B64",
    secretBytes(16),
    "Encrypts user and session ids in tokens. Default: derived from the signing key.",
    { isSecret: true },
  ),
};

const ACCOUNTS = {
  signup: setting(
    "ENTRIES_SIGNUP",
    signupPolicy,
    "open",
    "Who may make an account: open, closed, or the domains of the addresses that may, separated by commas.",
  ),
  userDeletionUrl: optional(
    "ENTRIES_USER_DELETION_URL",
    webAddress,
    "Base of the link that confirms the deletion of an account. Default: /account/deletion under ENTRIES_PUBLIC_URL.",
  ),
  userDeletionDelayDays: setting(
    "ENTRIES_USER_DELETION_DELAY_DAYS",
    integer(0, 3650),
    "7",
    "Days from that confirmation to the deletion, in which it can be cancelled.",
  ),
  containersMax: setting(
    "ENTRIES_MAX_CONTAINERS",
    integer(1, 100_000),
    "5000",
    "Most containers that one request may name: a bulk upload, or the deletion of an account.",
  ),
  passkeyDomain: setting(
    "ENTRIES_PASSKEY_DOMAIN",
    host,
    (read) => hostOf(read("ENTRIES_PUBLIC_URL")),
    "The domain that passkeys are bound to (WebAuthn's RP ID). Changing it makes all of them useless. Default: the host of ENTRIES_PUBLIC_URL.",
  ),
  passkeyOrigins: setting(
    "ENTRIES_PASSKEY_ORIGINS",
    list,
    "",
    "Further origins of apps whose passkeys are accepted, like https://app.example.org or android:apk-key-hash:…, separated by commas; ENTRIES_PUBLIC_URL and ENTRIES_CORS_ALLOWED_ORIGINS always are.",
  ),
};

const PASSWORDS = {
  authStringHashIterations: setting(
    "ENTRIES_AUTH_STRING_HASH_ITERATIONS",
    integer(2, 64),
    "4",
    "Iterations of argon2id when the server hashes what a client signs in with.",
  ),
  authStringHashMemCostKib: setting(
    "ENTRIES_AUTH_STRING_HASH_MEM_COST_KIB",
    integer(HASH_MEMORY_MIN_KIB, HASH_MEMORY_MAX_KIB),
    "32768",
    "Its memory in KiB.",
  ),
  hashQueueMax: setting(
    "ENTRIES_HASH_QUEUE_MAX",
    integer(1, 100_000),
    "64",
    "Most hashes that wait to be computed; a request beyond that is answered 503.",
  ),
  clientAuthStringHashIterations: setting(
    "ENTRIES_CLIENT_AUTH_STRING_HASH_ITERATIONS",
    integer(1, 64),
    "10",
    "Iterations that clients use for their own argon2id; answered for unknown addresses, to look like a real account.",
  ),
  clientAuthStringHashMemCostKib: setting(
    "ENTRIES_CLIENT_AUTH_STRING_HASH_MEM_COST_KIB",
    integer(HASH_MEMORY_MIN_KIB, HASH_MEMORY_MAX_KIB),
    "65536",
    "Its memory in KiB.",
  ),
  clientAuthStringHashThreads: setting(
    "ENTRIES_CLIENT_AUTH_STRING_HASH_THREADS",
    integer(1, 16),
    "2",
    "Its number of threads.",
  ),
};

const LIFETIMES = {
  accessTokenLifetimeMins: setting(
    "ENTRIES_ACCESS_TOKEN_LIFETIME_MINS",
    integer(1, YEAR_MINS),
    "15",
    "Lifetime of an access token in minutes.",
  ),
  refreshTokenLifetimeDays: setting(
    "ENTRIES_REFRESH_TOKEN_LIFETIME_DAYS",
    integer(1, 3650),
    "30",
    "Lifetime of a session that is not used, in days.",
  ),
  signinTokenLifetimeMins: setting(
    "ENTRIES_SIGNIN_TOKEN_LIFETIME_MINS",
    integer(1, YEAR_MINS),
    "30",
    "Minutes between the password and the passcode of a sign-in.",
  ),
  userDeletionTokenLifetimeDays: setting(
    "ENTRIES_USER_DELETION_TOKEN_LIFETIME_DAYS",
    integer(1, 3650),
    "7",
    "Lifetime of the link that confirms the deletion of an account, in days.",
  ),
  emailChangeTokenLifetimeHours: setting(
    "ENTRIES_EMAIL_CHANGE_TOKEN_LIFETIME_HOURS",
    integer(1, 8760),
    "24",
    "Lifetime of the link that confirms a new address, in hours.",
  ),
  invitationLifetimeMaxDays: setting(
    "ENTRIES_INVITATION_MAX_LIFETIME_DAYS",
    integer(1, 3650),
    "31",
    "Longest time that an invitation to a container can be accepted, in days.",
  ),
  unverifiedUserAgeMaxDays: setting(
    "ENTRIES_CLEAR_UNVERIFIED_USERS_MAX_USER_AGE_DAYS",
    integer(1, 3650),
    "7",
    "Days that a new account has for proving its address.",
  ),
  otpLifetimeMins: setting(
    "ENTRIES_OTP_LIFETIME_MINS",
    integer(1, YEAR_MINS),
    "10",
    "Lifetime of a one-time passcode in minutes.",
  ),
  otpSendMax: setting(
    "ENTRIES_OTP_SEND_MAX_PER_PERIOD",
    integer(1, 1000),
    "5",
    "Most passcodes that are sent to one account for one purpose per period.",
  ),
  otpSendPeriodMins: setting(
    "ENTRIES_OTP_SEND_PERIOD_MINS",
    integer(1, 1440),
    "15",
    "Length of that period in minutes.",
  ),
};

const SIZES = {
  bodySizeMaxMb: setting(
    "ENTRIES_PROTOBUF_MAX_SIZE_MB",
    integer(1, 1024),
    "100",
    "Largest request body in MB, protobuf and JSON. Routes without a token take less.",
  ),
  largeMessagesMaxMb: setting(
    "ENTRIES_LARGE_MESSAGES_MAX_MB",
    integer(1, 1024 * 1024),
    "256",
    "Most memory in MB for bodies over 1 MB that are coming or being worked on, and as much again for answers over 1 MB that are being read; a request beyond is answered 503.",
  ),
  smallObjectSizeMaxKb: setting(
    "ENTRIES_MAX_SMALL_OBJECT_SIZE_KB",
    integer(1, SIZE_MAX_KB),
    "4",
    "Largest encrypted container, category or entry, and info of an invitation, in KB.",
  ),
  keystoreSizeMaxKb: setting(
    "ENTRIES_MAX_KEYSTORE_SIZE_KB",
    integer(1, SIZE_MAX_KB),
    "80000",
    "Largest encrypted keystore of a user in KB.",
  ),
  preferencesSizeMaxKb: setting(
    "ENTRIES_MAX_USER_PREFERENCES_SIZE_KB",
    integer(1, SIZE_MAX_KB),
    "32",
    "Largest encrypted preferences of a user in KB.",
  ),
  encryptionKeySizeMaxKb: setting(
    "ENTRIES_MAX_ENCRYPTION_KEY_SIZE_KB",
    integer(1, SIZE_MAX_KB),
    "4",
    "Largest salt, public key or encrypted key in KB.",
  ),
  authStringLengthMax: setting(
    "ENTRIES_MAX_AUTH_STRING_LENGTH",
    integer(1, 1_048_576),
    "1024",
    "Longest auth string in bytes.",
  ),
  containerFetchCountMax: setting(
    "ENTRIES_MAX_CONTAINER_FETCH_COUNT",
    integer(1, 100_000),
    "50",
    "Most containers in one fetch.",
  ),
  entriesPerContainerMax: setting(
    "ENTRIES_MAX_ENTRIES_PER_CONTAINER",
    integer(1, I32_MAX),
    "20000",
    "Most entries in a container; deleted ones do not count.",
  ),
  categoriesPerContainerMax: setting(
    "ENTRIES_MAX_CATEGORIES_PER_CONTAINER",
    integer(1, I32_MAX),
    "1000",
    "Most categories in a container; deleted ones do not count.",
  ),
};

const RETENTION = {
  tombstoneAgeMaxDays: setting(
    "ENTRIES_TOMBSTONE_MAX_AGE_DAYS",
    integer(1, 3650),
    "365",
    "Days that clients have for learning that an entry or category was deleted; one that comes later starts over.",
  ),
  idleContainerAgeMaxDays: setting(
    "ENTRIES_IDLE_CONTAINER_MAX_AGE_DAYS",
    integer(0, 3650),
    "0",
    "Days after which a container in which nobody changed anything is deleted for good, whoever reads it; 0: never.",
  ),
};

const STREAMS = {
  streamsMax: setting(
    "ENTRIES_MAX_STREAMS",
    integer(1, 1_000_000),
    "10000",
    "Most streams of live changes that a process serves at a time.",
  ),
  streamsPerUserMax: setting(
    "ENTRIES_MAX_STREAMS_PER_USER",
    integer(1, 10_000),
    "20",
    "Most streams of live changes of one account in a process.",
  ),
};

const LIMITS = {
  limiters: {
    create: limiterClass("CREATE", "requests that create something", [20, 30], [3000, 60]),
    read: limiterClass("READ", "requests that read", [100, 30], [5000, 60]),
    modify: limiterClass("MODIFY", "requests that change something", [30, 30], [3500, 60]),
    "expensive-auth": limiterClass("EXPENSIVE_AUTH", "sign-ins and other password checks", [8, 120], [400, 60]),
    "light-auth": limiterClass("LIGHT_AUTH", "requests about tokens and passcodes", [15, 30], [2000, 60]),
    "error-report": limiterClass("ERROR_REPORT", "error reports", [10, 60], [500, 60]),
  },
  limiterWarnEvery: setting(
    "ENTRIES_LIMITER_WARN_EVERY_OVER_LIMIT",
    integer(0, U32_MAX),
    "50",
    "Log the first blocked request of a client and every one of this many after it; 0: log none.",
  ),
  signinLimiterMax: setting(
    "ENTRIES_SIGNIN_LIMITER_MAX_PER_PERIOD",
    integer(1, U32_MAX),
    "6",
    "Most failed password checks of one address from one network per period; ten times that from everywhere.",
  ),
  signinLimiterPeriodSecs: setting(
    "ENTRIES_SIGNIN_LIMITER_PERIOD_SECS",
    integer(1, LIMITER_PERIOD_MAX_SECS),
    "600",
    "Length of that period in seconds.",
  ),
};

/** How often each job runs. The reference had no defaults; these are the values of its sample file, or shorter. */
const JOBS = {
  jobs: {
    clearExpiredContainerInvitesSecs: jobPeriod(
      "CLEAR_EXPIRED_CONTAINER_INVITES",
      "43200",
      "invitations to containers that can be accepted no more",
    ),
    clearExpiredOtpsSecs: jobPeriod("CLEAR_EXPIRED_OTPS", "900", "one-time passcodes and challenges that expired"),
    clearExpiredSessionsSecs: jobPeriod("CLEAR_EXPIRED_SESSIONS", "3600", "sessions that expired"),
    clearUnverifiedUsersSecs: jobPeriod("CLEAR_UNVERIFIED_USERS", "7200", "accounts whose address was never proven"),
    deleteUsersSecs: jobPeriod("DELETE_USERS", "3600", "accounts whose deletion is due"),
    clearOldUserDeletionRequestsSecs: jobPeriod(
      "CLEAR_OLD_USER_DELETION_REQUESTS",
      "3540",
      "deletion requests that were never confirmed",
    ),
    unblacklistExpiredTokensSecs: jobPeriod("UNBLACKLIST_EXPIRED_TOKENS", "86400", "used tokens that expired"),
    purgeTombstonesSecs: jobPeriod(
      "PURGE_TOMBSTONES",
      "86400",
      "what is left of entries and categories deleted long ago",
    ),
    deleteIdleContainersSecs: jobPeriod("DELETE_IDLE_CONTAINERS", "86400", "containers that nobody changes any more"),
  },
};

function jobPeriod(name: string, defaultSecs: string, what: string) {
  return setting(
    `ENTRIES_${name}_JOB_FREQUENCY_SECS`,
    integer(0, 3650 * DAY_SECS),
    defaultSecs,
    `Seconds between two runs of the job that removes ${what}; 0: as often as jobs are looked at.`,
  );
}

const WATCHING = {
  healthEndpointKey: optional(
    "ENTRIES_HEALTH_ENDPOINT_KEY",
    textOrEmpty,
    "The key that opens GET /api/health; without one nobody sees it.",
    { isSecret: true },
  ),
  clientErrorsEndpointKey: optional(
    "ENTRIES_CLIENT_ERRORS_ENDPOINT_KEY",
    textOrEmpty,
    "The key that opens the list of errors that clients reported, GET /api/client-errors.",
    { isSecret: true },
  ),
  metricsAllowedNetworks: setting(
    "ENTRIES_METRICS_ALLOWED_NETWORKS",
    networks,
    "127.0.0.0/8, ::1",
    "Addresses and networks from which /metrics is answered, separated by commas. What counts is the connection's other end, so a proxy's address lets in all of its clients.",
  ),
};

const MAIL = {
  relay: {
    host: optional(
      "ENTRIES_SMTP_ADDRESS",
      host,
      "The mail relay's host. Without it mail is written to the directory outbox in the data directory.",
    ),
    security: setting(
      "ENTRIES_SMTP_SECURITY",
      oneOf("starttls", "tls", "plain"),
      "starttls",
      "How the connection to the relay is encrypted: starttls, tls from the first byte, or plain for a relay on this machine.",
    ),
    port: setting(
      "ENTRIES_SMTP_PORT",
      integer(1, 65_535),
      (read) => SMTP_PORTS[read("ENTRIES_SMTP_SECURITY") ?? ""],
      "The relay's port. Default: 587 for starttls, 465 for tls, 25 for plain.",
    ),
    username: optional("ENTRIES_SMTP_USERNAME", textOrEmpty, "The user at the relay, if it wants one.", {
      alias: "ENTRIES_AMAZON_SES_USERNAME",
    }),
    password: optional("ENTRIES_SMTP_PASSWORD", textOrEmpty, "That user's password.", {
      isSecret: true,
      alias: "ENTRIES_AMAZON_SES_KEY",
    }),
    caFile: optional(
      "ENTRIES_SMTP_CA_FILE",
      text("the path of a file with certificates (PEM)"),
      "The certificates that may vouch for the relay, instead of the public ones.",
    ),
    maxConnections: setting(
      "ENTRIES_MAX_SMTP_CONNECTIONS",
      integer(1, 1000),
      "24",
      "Most connections to the relay at a time.",
    ),
    idleTimeoutSecs: setting(
      "ENTRIES_SMTP_IDLE_TIMEOUT_SECS",
      integer(1, DAY_SECS),
      "60",
      "Seconds after which an idle connection to the relay is closed.",
    ),
  },
  emailFrom: setting(
    "ENTRIES_EMAIL_FROM_ADDR",
    mailbox,
    "Entries <entries@localhost>",
    "Sender of the mails. Must be set with a relay.",
  ),
  emailReplyTo: setting(
    "ENTRIES_EMAIL_REPLY_TO_ADDR",
    mailbox,
    (read) => read("ENTRIES_EMAIL_FROM_ADDR"),
    "Where answers to the mails go. Default: the sender.",
  ),
};

const OLD_SWITCHES = {
  oldSwitches: {
    isEmailEnabled: optional(
      "ENTRIES_EMAIL_ENABLED",
      boolean,
      "false: as without ENTRIES_SMTP_ADDRESS. Leave that out instead.",
    ),
    usesForwardedFor: optional(
      "ENTRIES_RATE_LIMITER_USE_X_FORWARDED_FOR",
      boolean,
      "false: as with an empty ENTRIES_TRUSTED_PROXIES. Use that instead.",
    ),
  },
};

export const GROUPS = [
  { title: "Server", settings: SERVER },
  { title: "Database", settings: DATABASE },
  { title: "Secrets (made at the first start with the embedded database)", settings: SECRETS },
  { title: "Accounts", settings: ACCOUNTS },
  { title: "Password hashing", settings: PASSWORDS },
  { title: "Lifetimes", settings: LIFETIMES },
  { title: "Sizes and counts", settings: SIZES },
  { title: "How long things are kept", settings: RETENTION },
  { title: "Live changes", settings: STREAMS },
  { title: "Request limits", settings: LIMITS },
  { title: "Jobs", settings: JOBS },
  { title: "Health, metrics and client errors", settings: WATCHING },
  { title: "Mail", settings: MAIL },
  { title: "Switches of the reference server, for old files", settings: OLD_SWITCHES },
] as const;

export const SETTINGS = {
  ...SERVER,
  ...DATABASE,
  ...SECRETS,
  ...ACCOUNTS,
  ...PASSWORDS,
  ...LIFETIMES,
  ...SIZES,
  ...RETENTION,
  ...STREAMS,
  ...LIMITS,
  ...JOBS,
  ...WATCHING,
  ...MAIL,
  ...OLD_SWITCHES,
};
