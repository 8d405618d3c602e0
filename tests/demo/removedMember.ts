/** What somebody may try who was removed from a container: every route that a container token opens. */
import { routes } from "../../src/app.ts";
import { ContainerAccessTokenList } from "../../src/container/messages.ts";
import { type Answer, Client, Device } from "../support/client.ts";
import { getContainers } from "../support/containerCalls.ts";
import { newInvitation, postInvitation } from "../support/invitations.ts";
import { leave, listMembers, removeMember } from "../support/memberCalls.ts";
import { postChanges } from "../support/syncClient.ts";
import { WRITES, type WriteTarget } from "../support/writes.ts";
import { demand } from "./demand.ts";

export interface RemovedMember {
  device: Device;
  /** Another member's. */
  email: string;
  key_id: string;
  target: WriteTarget;
}

type Attempt = (removed: RemovedMember) => Promise<Answer<unknown>>;

/** A wrong server would answer a stream that never ends. */
const ANSWER_LIMIT_MS = 10_000;
const CLOCK = { services: { now: () => Date.now() } };

const withTokenInBody =
  (method: string, path: string): Attempt =>
  ({ device, target: { box } }) =>
    device.client.call(method, path, {
      request: [ContainerAccessTokenList, { tokens: [box.token()] }],
      headers: device.headers(),
    });

const ATTEMPTS: ReadonlyMap<string, Attempt> = new Map<string, Attempt>([
  ...WRITES.map(([route, write]) => [route, ({ device, target }) => write(device, target)] as [string, Attempt]),
  ["GET /api/container", ({ device, target: { box } }) => getContainers(device, box.token())],
  ["POST /api/container/query", withTokenInBody("POST", "/api/container/query")],
  [
    "POST /api/container/changes",
    ({ device, target: { box } }) => postChanges(device, [{ token: box.token(), since: 0n }]),
  ],
  [
    "GET /api/container/events",
    ({ device, target: { box } }) =>
      device.client.call("GET", "/api/container/events", { headers: device.headers(box) }),
  ],
  ["POST /api/container/events", withTokenInBody("POST", "/api/container/events")],
  [
    "POST /api/container/invitation",
    ({ device, target: { box }, email }) => postInvitation(device, box, newInvitation(CLOCK, email).invitation),
  ],
  ["GET /api/container/member", ({ device, target: { box } }) => listMembers(device, box)],
  ["DELETE /api/container/member", ({ device, target: { box }, key_id }) => removeMember(device, box, key_id)],
  ["DELETE /api/container/leave", ({ device, target: { box } }) => leave(device, box)],
  ["DELETE /api/user", withTokenInBody("DELETE", "/api/user")],
]);

/** Routes whose tokens are in the body, or looked for in the handler. */
const OTHERS_WITH_TOKEN = [
  "GET /api/container",
  "POST /api/container/query",
  "POST /api/container/changes",
  "GET /api/container/events",
  "POST /api/container/events",
  "DELETE /api/user",
];

/**
 * Tries every route.
 *
 * @returns how many there are
 * @throws Deviation when one does not say that there is no such container
 */
export async function tryEverything(removed: RemovedMember): Promise<number> {
  const { client, accessToken } = removed.device;
  const send = (request: Request) => fetch(request, { signal: AbortSignal.timeout(ANSWER_LIMIT_MS) });
  const device = new Device(new Client(send, client.encoding, client.base), accessToken, "");
  const opened = routes.filter(({ spec }) => spec.tokens.container).map(({ spec }) => `${spec.method} ${spec.path}`);
  const all = [...opened, ...OTHERS_WITH_TOKEN];
  for (const route of all) {
    const attempt = ATTEMPTS.get(route);
    demand(attempt !== undefined, `the demo does not try ${route}`);
    const { status, error } = await attempt({ ...removed, device });
    const isRefused = status === 404 && error?.err_type === "CONTAINER_DOES_NOT_EXIST";
    demand(isRefused, `${route} answered a removed member ${status} ${error?.err_type ?? ""}`);
  }
  return all.length;
}
