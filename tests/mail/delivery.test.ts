import { afterEach, describe, expect, test } from "bun:test";
import { createServer } from "node:net";
import { ApiError } from "../../src/errors.ts";
import { parseMail } from "./mailParser.ts";
import { type RelayOptions, smtpError, startRelay } from "./mailRelay.ts";
import {
  ADDRESS,
  atEnd,
  cleanUp,
  eventually,
  expectNoSecrets,
  freePort,
  letter,
  openMailer,
  openRelay,
  smtp,
  thrownBy,
} from "./mailSetup.ts";

afterEach(cleanUp);

describe("P4: the relay", () => {
  const ways: ["starttls" | "tls" | "plain", RelayOptions, boolean][] = [
    ["starttls", {}, true],
    ["tls", { secure: true }, true],
    ["plain", { disabledCommands: ["STARTTLS"] }, false],
  ];
  test.each(ways)("P4: a letter arrives by %s", async (security, options, isSecure) => {
    const relay = await openRelay(options);
    const { mailer, logLines } = openMailer(smtp(relay.port, { security }));
    mailer.send(letter());
    expect(mailer.stats()).toEqual({ waiting: 1, sent: 0, failed: 0 });
    await eventually(() => mailer.stats().sent === 1);
    expect(relay.received).toHaveLength(1);
    expect(relay.received[0]).toMatchObject({ to: [ADDRESS], isSecure });
    expect(logLines()).toMatchObject([{ event: "mail sent", attempt: 1, smtp_code: 250 }]);
  });

  test("P4: starttls sends nothing to a relay that does not offer it", async () => {
    const relay = await openRelay({ disabledCommands: ["STARTTLS"] });
    const { mailer } = openMailer(smtp(relay.port));
    mailer.send(letter());
    await eventually(() => mailer.stats().failed === 1);
    expect(relay.received).toEqual([]);
  });

  test.each([
    ["starttls", "127.0.0.1"],
    ["starttls", "localhost"],
    ["tls", "127.0.0.1"],
    ["tls", "localhost"],
  ] as const)("P4: by %s a certificate for another host than %s is refused", async (security, host) => {
    const relay = await openRelay({ secure: security === "tls", certificate: "elsewhere" });
    const { mailer, logLines } = openMailer(smtp(relay.port, { security, host }), { retryDelaysMs: [] });
    mailer.send(letter());
    await eventually(() => mailer.stats().failed === 1);
    expect(relay.received).toEqual([]);
    expect(logLines()).toMatchObject([{ event: "mail given up", error: "ERR_TLS_CERT_ALTNAME_INVALID" }]);
  });

  test.each(["starttls", "tls"] as const)(
    "P4: by %s a certificate of an unknown authority is refused",
    async (security) => {
      const relay = await openRelay({ secure: security === "tls" });
      const { mailer, logLines } = openMailer(smtp(relay.port, { security, caFile: undefined }), { retryDelaysMs: [] });
      mailer.send(letter());
      await eventually(() => mailer.stats().failed === 1);
      expect(relay.received).toEqual([]);
      expect(logLines()).toMatchObject([{ event: "mail given up", error: "UNABLE_TO_VERIFY_LEAF_SIGNATURE" }]);
    },
  );

  test("P4: the user name and password are used; a refused login is not repeated and not logged", async () => {
    let logins = 0;
    const relay = await openRelay({
      authOptional: false,
      onAuth(auth, _session, callback) {
        logins++;
        if (auth.username === "entries" && auth.password === "hunter2") callback(null, { user: auth.username });
        else callback(smtpError(535, `no such login: ${auth.username}`));
      },
    });
    const right = openMailer(smtp(relay.port, { username: "entries", password: "hunter2" }));
    right.mailer.send(letter());
    await eventually(() => right.mailer.stats().sent === 1);
    expect(relay.received).toMatchObject([{ user: "entries", isSecure: true }]);

    logins = 0;
    const wrong = openMailer(smtp(relay.port, { username: "entries", password: "hunter2 " }));
    wrong.mailer.send(letter());
    await eventually(() => wrong.mailer.stats().failed === 1);
    await Bun.sleep(60);
    expect(logins).toBe(1);
    expect(relay.received).toHaveLength(1);
    expect(wrong.logLines()).toMatchObject([{ event: "mail refused", level: "error", error: "EAUTH", smtp_code: 535 }]);
    expectNoSecrets(wrong.logText());
  });

  test("P4: connections are kept and shared, never more than allowed", async () => {
    const relay = await openRelay();
    const { mailer } = openMailer(smtp(relay.port, { maxConnections: 2 }));
    for (let index = 0; index < 12; index++) mailer.send(letter(`ann-${index}@example.com`));
    await eventually(() => mailer.stats().sent === 12);
    expect(new Set(relay.received.map(({ connectionId }) => connectionId)).size).toBeLessThanOrEqual(2);
    expect(new Set(relay.received.flatMap(({ to }) => to)).size).toBe(12);
  });
});

describe("P4: failures", () => {
  test("P4: a temporary refusal is tried again, as the same mail", async () => {
    const relay = await openRelay({
      answer: (received) => (received < 2 ? smtpError(451, `4.7.1 later, ${ADDRESS}`) : null),
    });
    const { mailer, logLines, logText } = openMailer(smtp(relay.port));
    mailer.send(letter());
    await eventually(() => mailer.stats().sent === 1);
    expect(relay.received).toHaveLength(3);
    const ids = relay.received.map(({ content }) => parseMail(content).headers.get("message-id"));
    expect(new Set(ids).size).toBe(1);
    expect(logLines()).toMatchObject([
      { event: "mail delayed", level: "warn", attempt: 1, retry_in_ms: 20, smtp_code: 451, smtp_status: "4.7.1" },
      { event: "mail delayed", attempt: 2 },
      { event: "mail sent", attempt: 3 },
    ]);
    expectNoSecrets(logText());
  });

  test("P4, P9: a refused recipient is not tried again, and the log has the code without the relay's words", async () => {
    let attempts = 0;
    const relay = await openRelay({
      onRcptTo(address, _session, callback) {
        attempts++;
        callback(smtpError(550, `5.1.1 no mailbox ${address.address}`));
      },
    });
    const { mailer, logLines, logText } = openMailer(smtp(relay.port));
    mailer.send(letter());
    await eventually(() => mailer.stats().failed === 1);
    await Bun.sleep(60);
    expect(attempts).toBe(1);
    expect(logLines()).toMatchObject([
      { event: "mail refused", level: "error", step: "RCPT TO", smtp_code: 550, smtp_status: "5.1.1" },
    ]);
    expectNoSecrets(logText());
  });

  test("P4: a letter outlives a relay that is down for a while", async () => {
    const port = await freePort();
    const { mailer, logLines } = openMailer(smtp(port), { retryDelaysMs: Array(200).fill(10) });
    mailer.send(letter());
    await eventually(() => logLines().length >= 2);
    const relay = await openRelay({ port });
    await eventually(() => mailer.stats().sent === 1);
    expect(relay.received).toHaveLength(1);
    expect(logLines()[0]).toMatchObject({ event: "mail delayed", error: "ECONNREFUSED" });
  });

  test("P4: a letter survives that the relay drops the kept connection", async () => {
    const port = await freePort();
    const first = await startRelay({ port });
    const { mailer } = openMailer(smtp(port));
    mailer.send(letter());
    await eventually(() => mailer.stats().sent === 1);
    await first.close();
    const second = await openRelay({ port });
    mailer.send(letter());
    await eventually(() => mailer.stats().sent === 2);
    expect([first.received.length, second.received.length]).toEqual([1, 1]);
  });

  test("P4: a relay that says nothing costs a letter one attempt, not for ever", async () => {
    const silent = createServer(() => {});
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", () => resolve()));
    atEnd(() => silent.close());
    const { port } = silent.address() as { port: number };
    const { mailer, logLines } = openMailer(smtp(port), { retryDelaysMs: [], connectMs: 50 });
    mailer.send(letter());
    await eventually(() => mailer.stats().failed === 1);
    expect(logLines()).toMatchObject([{ event: "mail given up", error: "ETIMEDOUT", attempt: 1 }]);
  });

  test("P4: a relay that is slow in everything is left after the limit of one attempt", async () => {
    const relay = await openRelay({ onRcptTo() {} });
    const { mailer, logLines } = openMailer(smtp(relay.port), { retryDelaysMs: [], attemptMs: 300 });
    mailer.send(letter());
    await eventually(() => mailer.stats().failed === 1);
    expect(logLines()).toMatchObject([{ event: "mail given up", error: "EABORT" }]);
  });

  test("P4: after the last attempt a letter is given up", async () => {
    const { mailer, logLines } = openMailer(smtp(await freePort()), { retryDelaysMs: [5, 5] });
    mailer.send(letter());
    await eventually(() => mailer.stats().failed === 1);
    expect(logLines().map(({ event, attempt }) => [event, attempt])).toEqual([
      ["mail delayed", 1],
      ["mail delayed", 2],
      ["mail given up", 3],
    ]);
  });

  test("A7: a passcode is not mailed after its lifetime", async () => {
    const relay = await openRelay({ answer: () => smtpError(451, "later") });
    const { mailer, logLines } = openMailer(smtp(relay.port), { retryDelaysMs: [20, 60_000] });
    mailer.send({ ...letter(), usefulForMs: 50_000 });
    await eventually(() => mailer.stats().failed === 1);
    expect(relay.received).toHaveLength(2);
    expect(logLines().map(({ event }) => event)).toEqual(["mail delayed", "mail expired"]);
    mailer.send({ ...letter(), usefulForMs: 0 });
    await eventually(() => mailer.stats().failed === 2);
    expect(relay.received).toHaveLength(2);
  });
});

describe("P4, P11: the queue", () => {
  test("P4, W11: a full queue refuses with 503 and Retry-After, and takes letters again later", async () => {
    const relay = await openRelay();
    const { mailer } = openMailer({ ...smtp(relay.port), queueMax: 2 });
    mailer.send(letter());
    mailer.send(letter());
    const error = thrownBy(() => mailer.send(letter())) as ApiError;
    expect(error).toBeInstanceOf(ApiError);
    expect(error.status).toBe(503);
    expect(error.headers["retry-after"]).toBe("30");
    await eventually(() => mailer.stats().sent === 2);
    mailer.send(letter());
    await eventually(() => mailer.stats().sent === 3);
  });

  test("P4: by default 1000 letters may wait", async () => {
    const { mailer } = openMailer(smtp(await freePort()), { retryDelaysMs: [60_000] });
    for (let index = 0; index < 1000; index++) mailer.send(letter());
    expect(thrownBy(() => mailer.send(letter()))).toMatchObject({ status: 503 });
    expect(mailer.stats().waiting).toBe(1000);
  });

  test("P11: draining tries waiting letters at once and says how many are left", async () => {
    const port = await freePort();
    const { mailer } = openMailer(smtp(port), { retryDelaysMs: [60_000, 60_000, 60_000, 60_000] });
    for (let index = 0; index < 5; index++) mailer.send(letter());
    expect(await mailer.drain(3000)).toBe(5);
    const relay = await openRelay({ port });
    expect(await mailer.drain(3000)).toBe(0);
    expect(relay.received).toHaveLength(5);
    expect(mailer.stats()).toEqual({ waiting: 0, sent: 5, failed: 0 });
  });

  test("P11: draining ends at its limit, and closing breaks off what is under way", async () => {
    let recipients = 0;
    const relay = await openRelay({
      onRcptTo() {
        recipients++; // no answer
      },
    });
    const { mailer } = openMailer(smtp(relay.port, { maxConnections: 1 }));
    mailer.send(letter());
    mailer.send(letter());
    await eventually(() => recipients === 1);
    expect(await mailer.drain(100)).toBe(2);
    const startedAt = performance.now();
    await mailer.close();
    expect(performance.now() - startedAt).toBeLessThan(900);
    expect(mailer.stats()).toEqual({ waiting: 0, sent: 0, failed: 0 });
    expect(thrownBy(() => mailer.send(letter()))).toMatchObject({ status: 503 });
  });
});
