/** Rows of containers.md that hold of several routes at once: contractRows.containers.md names them. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect } from "node:net";
import { routes } from "../../src/app.ts";
import { CategoryId, CategoryUpdate } from "../../src/category/messages.ts";
import { ContainerAccessTokenList } from "../../src/container/messages.ts";
import { uuidBytes } from "../../src/crypto/uuid.ts";
import { EncryptedBlobAndCategoryId, EntryId, EntryUpdate } from "../../src/entry/messages.ts";
import { UserInvitationToContainer } from "../../src/invitation/messages.ts";
import { ServerErrorResponse } from "../../src/wire/common.ts";
import type { Message } from "../../src/wire/message.ts";
import { type Encoding, MEDIA_TYPES } from "../../src/wire/negotiation.ts";
import { granted } from "../support/accounts.ts";
import { Box } from "../support/client.ts";
import { addKey, ENCODINGS, expectEmptyOk, expectError, postEntryAndCategory } from "../support/containerCalls.ts";
import { expectUnchanged } from "../support/containerRows.ts";
import {
  acceptToken,
  type Guest,
  invite,
  inviteAndUnwrap,
  listPending,
  mustAccept,
  newInvitation,
  postInvitation,
  putAccept,
  putDecline,
  retract,
  senderToken,
  signUpGuest,
} from "../support/invitations.ts";
import { heldUp } from "../support/races.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { listen, UNLIMITED } from "../support/socket.ts";

let server: TestServer;
let ann: Guest;
let ben: Guest;
let box: Box;
beforeAll(async () => {
  server = await startTestServer(UNLIMITED);
  ann = await signUpGuest(server);
  ben = await signUpGuest(server);
  box = await ann.createContainer();
});
afterAll(() => server.stop());

const times = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => make(index));

test("4: limit class, tokens, messages and status of the routes that are no invitations", () => {
  const specs = routes
    .map(({ spec }) => spec)
    .filter(({ path }) => path.startsWith("/api/container") && !path.startsWith("/api/container/invitation"))
    .map(({ method, path, limit, tokens, request, response, status = 200 }) => {
      const name = `${method} ${path.slice("/api/container".length)}`.trimEnd();
      return [name, limit, tokens.container ?? "", request?.name ?? "", status, response?.name ?? ""].join(" · ");
    });
  expect(specs).toEqual([
    "GET · read ·  ·  · 200 · ContainerList",
    "POST /query · read ·  · ContainerAccessTokenList · 200 · ContainerList",
    "POST · create ·  · NewContainer · 201 · ContainerFrame",
    "PUT · modify · write · EncryptedBlobUpdate · 200 · ",
    "POST /bulk-upload · create ·  · BulkUploadContainerList · 201 · BulkUploadContainerFrameList",
    "POST /upload · create ·  · BulkUploadContainer · 201 · BulkUploadContainerFrame",
    "DELETE /leave · modify · read ·  · 200 · ",
    "GET /member · read · write ·  · 200 · MemberKeyList",
    "DELETE /member · modify · write · MemberKeyId · 200 · ",
    "PUT /rekey · modify · write · ContainerRekey · 200 · ",
    "POST /entry · create · write · EncryptedBlobAndCategoryId · 201 · EntryId",
    "PUT /entry · modify · write · EntryUpdate · 200 · ",
    "DELETE /entry · modify · write · EntryId · 200 · ",
    "POST /entry-and-category · create · write · EntryAndCategory · 201 · EntryIdAndCategoryId",
    "POST /category · create · write · NewEncryptedBlob · 201 · CategoryId",
    "PUT /category · modify · write · CategoryUpdate · 200 · ",
    "DELETE /category · modify · write · CategoryId · 200 · ",
    "POST /changes · read ·  · ContainerChangesRequest · 200 · ContainerChangesList",
    "GET /events · read ·  ·  · 200 · ",
    "POST /events · read ·  · ContainerAccessTokenList · 200 · ",
  ]);
});

test("4.2, W16: creating tells a missing token before a wrong Content-Type and before a body that is none", async () => {
  const post = async (headers: Record<string, string>) => {
    const init = { method: "POST", headers: { accept: MEDIA_TYPES.json, ...headers }, body: "{" };
    const response = await server.app.handle(new Request("http://localhost/api/container", init));
    return ServerErrorResponse.decodeJson(new Uint8Array(await response.arrayBuffer())).err_type;
  };
  for (const type of ["text/plain", MEDIA_TYPES.json, MEDIA_TYPES.protobuf]) {
    expect(await post({ "content-type": type })).toBe("TOKEN_MISSING");
    expect(await post({ "content-type": type, ...ann.headers() })).toBe("PREHANDLER");
  }
});

test("W3: a stream of changes opens no container through the key of another, in either form", async () => {
  const foreign = await ben.createContainer();
  const second = await addKey(server.db, box);
  const forForeign = ({ key_id, privateKey }: Box) => new Box(foreign.id, key_id, privateKey).token();
  for (const tokens of [
    [forForeign(box), box.token()],
    [box.token(), forForeign(second)],
  ]) {
    const refused = await ann.client.call("POST", "/api/container/events", {
      request: [ContainerAccessTokenList, { tokens }],
      headers: ann.headers(),
    });
    expectError(refused, "CONTAINER_DOES_NOT_EXIST");
  }
});

describe("an id that is none", () => {
  const ID = "018f0000-0000-7000-8000-00000000abcd";
  const BLOB = { encrypted_blob: Buffer.of(1), version_nonce: 2n };
  const EDIT = { ...BLOB, expected_previous_version_nonce: 1n };
  const OTHER_ID = "00000000-0000-0000-0000-000000000000";

  /** The body with the id's last byte missing, and the lengths around it right; in JSON, with a text that is none. */
  function spoilt<Value>(message: Message<Value>, value: Value, encoding: Encoding): Uint8Array {
    if (encoding === "json") return Buffer.from(message.encodeJson(value).replace(ID, ID.slice(1)));
    const good = Buffer.from(message.encodeProtobuf(value));
    const start = good.indexOf(uuidBytes(ID));
    const bad = Buffer.concat([good.subarray(0, start + 15), good.subarray(start + 16)]);
    bad.writeUInt8(15, start - 1);
    bad.writeUInt8(17, start - 3);
    return bad;
  }

  const CASES: [route: string, what: string, body: (encoding: Encoding) => Uint8Array][] = [
    [
      "POST entry",
      "4.5: category_id",
      (encoding) => spoilt(EncryptedBlobAndCategoryId, { ...BLOB, category_id: ID }, encoding),
    ],
    [
      "PUT entry",
      "4.6: category_id",
      (encoding) => spoilt(EntryUpdate, { ...EDIT, entry_id: OTHER_ID, category_id: ID }, encoding),
    ],
    ["PUT entry", "4.6: entry_id", (encoding) => spoilt(EntryUpdate, { ...EDIT, entry_id: ID }, encoding)],
    ["DELETE entry", "4.7: the id", (encoding) => spoilt(EntryId, { value: ID }, encoding)],
    ["PUT category", "4.9: category_id", (encoding) => spoilt(CategoryUpdate, { ...EDIT, category_id: ID }, encoding)],
    ["DELETE category", "4.10: the id", (encoding) => spoilt(CategoryId, { value: ID }, encoding)],
    [
      "POST invitation",
      "5.1: recipient_public_key_id_used_by_sender",
      (encoding) => {
        const overrides = { recipient_public_key_id_used_by_sender: ID };
        return spoilt(UserInvitationToContainer, newInvitation(server, ben.user.email, overrides).invitation, encoding);
      },
    ],
  ];

  test.each(
    CASES.flatMap(([route, what, body]) => ENCODINGS.map((encoding) => [what, route, encoding, body] as const)),
  )("3, W17: %s of %s in %s is INVALID_MESSAGE and changes nothing", async (_what, route, encoding, body) => {
    const [method, path] = route.split(" ");
    const request = new Request(`http://localhost/api/container/${path}`, {
      method: method ?? "",
      headers: { ...ann.headers(box), "content-type": MEDIA_TYPES[encoding], accept: MEDIA_TYPES.json },
      body: Buffer.from(body(encoding)),
    });
    await expectUnchanged(server.db, async () => {
      const response = await server.app.handle(request);
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({ err_type: "INVALID_MESSAGE" });
    });
  });
});

describe("8 races: a fetch is of one moment", () => {
  test("while pairs are made and deleted, it never shows one half of a pair; 60 fetches", async () => {
    const busy = await ann.createContainer();
    let isOver = false;
    const writers = times(3, async () => {
      while (!isOver) {
        const pair = granted(await postEntryAndCategory(ann, busy));
        expectEmptyOk(await ann.deleteCategory(busy, pair.category_id));
      }
    });
    try {
      for (let fetches = 0; fetches < 60; fetches++) {
        const { categories, entries } = await ann.read(busy);
        // A deletion takes the category from its entry in the same change.
        const live = categories.filter(({ deleted_at }) => deleted_at === undefined).map(({ id }) => id);
        expect(entries.length).toBe(categories.length);
        expect(entries.flatMap(({ category_id }) => category_id ?? []).sort()).toEqual(live.sort());
      }
    } finally {
      isOver = true;
    }
    await Promise.all(writers);
  }, 30_000);
});

describe("8 crashes: inviting", () => {
  test("clients that go away while the keys are made leave the server well", async () => {
    const { port, stop } = listen(server);
    const { invitation } = newInvitation(server, ben.user.email);
    const body = UserInvitationToContainer.encodeProtobuf(invitation);
    const head = Object.entries({ ...ann.headers(box), "content-type": MEDIA_TYPES.protobuf, host: "localhost" })
      .map(([name, value]) => `${name}: ${value}\r\n`)
      .join("");
    const request = Buffer.concat([
      Buffer.from(
        `POST /api/container/invitation HTTP/1.1\r\n${head}content-length: ${body.length}\r\nconnection: close\r\n\r\n`,
      ),
      body,
    ]);
    const before = (await listPending(ben)).length;
    const goAway = () =>
      new Promise<void>((resolve) => {
        const socket = connect(port, "127.0.0.1", () => socket.write(request, () => socket.resetAndDestroy()));
        socket.on("error", () => {});
        socket.on("close", () => resolve());
      });
    for (let round = 0; round < 5; round++) {
      await Promise.all(times(10, goAway));
      await invite(server, ann, box, ben);
    }
    // Some were begun, though nobody waited for their answer any more.
    expect((await listPending(ben)).length).toBeGreaterThan(before + 5);
    const answer = await fetch(`http://127.0.0.1:${port}/api/heartbeat`);
    expect(answer.status).toBe(200);
    server.services.log.flush();
    expect(server.logLines.join("")).not.toContain('"level":"error"');
    await stop();
  });
});

describe("5: what an act on an invitation leaves", () => {
  test("5.2: two retractions that both know the sender's key are both 200", async () => {
    const sent = await invite(server, ann, box, ben);
    const answers = await heldUp(
      server.db,
      (transaction) => transaction`select from container_share_invites where id = ${sent.id} for update`,
      times(2, () => () => retract(ann, senderToken(sent))),
    );
    for (const answer of answers) expectEmptyOk(answer);
  });

  test("5.7: with the recipient's account its invitations go; the accept key stays and opens nothing", async () => {
    const gone = await signUpGuest(server);
    const { sent, received } = await inviteAndUnwrap(server, ann, box, gone);
    await server.db`delete from users where email = ${gone.user.email}`;
    expect(await server.db`select from container_share_invites where id = ${sent.id}`).toHaveLength(0);
    expect(await server.db`select from container_accept_keys where key_id = ${sent.accept_key_id}`).toHaveLength(1);
    expectError(await putAccept(ben, acceptToken(received)), "INVITATION_DOES_NOT_EXIST");
    expectError(await putDecline(ben, acceptToken(received)), "INVITATION_DOES_NOT_EXIST");
  });

  test("5.1, 5.3: a member who may write invites on, and one whom it invites read-only may not", async () => {
    const cy = await signUpGuest(server);
    const first = await inviteAndUnwrap(server, ann, box, ben);
    const { box: bensBox } = await mustAccept(ben, first.received);
    const second = await inviteAndUnwrap(server, ben, bensBox, cy, { read_only: true });
    const { box: cysBox, answer } = await mustAccept(cy, second.received);
    expect(answer.read_only).toBe(true);
    const { invitation } = newInvitation(server, ann.user.email);
    expectError(await postInvitation(cy, cysBox, invitation), "READ_ONLY_ACCESS");
  });
});
