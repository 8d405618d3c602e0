/**
 * What systemd is told over the socket that it names in NOTIFY_SOCKET, for units of Type=notify (sd_notify(3)). Without
 * that variable all of this does nothing.
 */
import { monotonicMicros, sendUnixDatagram } from "../db/libc.ts";
import type { Log } from "../log.ts";

export interface ServiceManager {
  /** The server answers requests, for the first time or after `reloading`. */
  ready(): void;
  reloading(): void;
  stopping(): void;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Also begins to tell, when systemd wants to hear it (WatchdogSec=), that this process is alive: twice per period, from
 * the event loop, so that a process that hangs falls silent and is restarted.
 */
export function createServiceManager(log: Log, env: Environment = process.env): ServiceManager {
  const path = env.NOTIFY_SOCKET;
  if (path === undefined || !/^[/@]./.test(path)) return { ready() {}, reloading() {}, stopping() {} };

  function tell(...lines: string[]): void {
    try {
      sendUnixDatagram(path ?? "", lines.join("\n"));
    } catch (error) {
      log.warn("systemd cannot be told", { reason: error instanceof Error ? error.message : String(error) });
    }
  }

  const periodMs = watchdogMs(env);
  if (periodMs > 0) setInterval(() => tell("WATCHDOG=1"), periodMs / 2).unref();
  return {
    ready: () => tell("READY=1"),
    reloading: () => tell("RELOADING=1", `MONOTONIC_USEC=${monotonicMicros()}`),
    stopping: () => tell("STOPPING=1"),
  };
}

/** 0: not wanted, or of another process. */
function watchdogMs({ WATCHDOG_USEC, WATCHDOG_PID }: Environment): number {
  const isOurs = WATCHDOG_PID === undefined || WATCHDOG_PID === String(process.pid);
  const micros = isOurs && /^[0-9]+$/.test(WATCHDOG_USEC ?? "") ? Number(WATCHDOG_USEC) : 0;
  return micros / 1000;
}
