/** The chapter of the demo in which two accounts share a budget, one with an RSA key and one with a post-quantum key. */
import { randomBytes } from "node:crypto";
import { wrapForRecipient } from "../../src/crypto/wrapForRecipient.ts";
import { UserPublicKey } from "../../src/user/messages.ts";
import type { Encoding } from "../../src/wire/negotiation.ts";
import { granted } from "../support/accounts.ts";
import { Client, newUser } from "../support/client.ts";
import {
  acceptToken,
  listPending,
  mustAccept,
  newInvitation,
  postInvitation,
  putAccept,
  unwrapInvitation,
} from "../support/invitations.ts";
import { listMembers, removeMember } from "../support/memberCalls.ts";
import { type Outbox, signUp } from "../support/outbox.ts";
import { type RecipientKeys, rsaRecipient, xwingRecipient } from "../support/recipientKeys.ts";
import { type BudgetRow, ContainerKey } from "./budget.ts";
import { demand } from "./demand.ts";
import { Member, type Person } from "./member.ts";
import { tryEverything } from "./removedMember.ts";
import { open, seal } from "./secrets.ts";
import { inParallel } from "./story.ts";
import { count, timed } from "./telling.ts";

const CLOCK = { services: { now: () => Date.now() } };
const SHARE_KEY_BYTES = 32;
/** Edits that are followed one by one. */
const SINGLE_EDITS = 20;
/** Every 15 s the server looks by itself: an edit that takes longer than this was told by that, and not when it was made. */
const FOLLOWED_MS_MAX = 10_000;
/** Of each member. */
const NEW_ROWS = 10;
const DELETED = 10;

/** A budget with two members, and what both must find in it. */
interface SharedBudget {
  owner: Member;
  guest: Member;
  /** By row. */
  expected: Map<number, BudgetRow>;
}

export class SharingStory {
  readonly #api: Client;

  constructor(
    base: string,
    encoding: Encoding,
    private readonly outbox: Outbox,
    private readonly say: (text: string) => void,
  ) {
    this.#api = new Client((request) => fetch(request), encoding, base);
  }

  /** @throws Deviation, Refused */
  async tell(rows: readonly BudgetRow[]): Promise<void> {
    const [rosa, quentin] = [
      await this.#signUp("Rosa", rsaRecipient()),
      await this.#signUp("Quentin", await xwingRecipient()),
    ];
    this.say("  Rosa signed up with an RSA key, Quentin with a post-quantum one (X-Wing)");
    const first = await this.#share(rosa, quentin, rows);
    await this.#followOneByOne(first);
    await this.#editTogether(first);
    await this.#removeGuest(first);
    const second = await this.#share(quentin, rosa, rows);
    await this.#editTogether(second);
    for (const { owner, guest } of [first, second]) {
      await owner.follower.close();
      await guest.follower.close();
    }
  }

  async #signUp(name: string, keys: RecipientKeys): Promise<Person> {
    const { user, device } = await signUp(this.#api, this.outbox, newUser({ public_key: keys.publicKey }));
    return { name, user, device, keys };
  }

  async #share(from: Person, to: Person, rows: readonly BudgetRow[]): Promise<SharedBudget> {
    const expected = new Map(rows.map((row) => [row.row, row]));
    const [owner, uploaded] = await timed(() => Member.found(from, rows));
    await owner.reach(expected);
    this.say(`  ${from.name} uploaded a budget of ${count(rows.length)} entries in one request  (${uploaded})`);
    const [guest, accepted] = await timed(async () => {
      await invite(owner, to);
      return accept(to, from);
    });
    this.say(`  ${from.name} invited ${to.name}, who listed the invitation, unwrapped and accepted it  (${accepted})`);
    const [, copied] = await timed(() => guest.reach(expected));
    this.say(
      `    ${to.name}'s copy came by \`changes\`: all ${count(expected.size)} entries decrypt to ${from.name}'s  (${copied})`,
    );
    return { owner, guest, expected };
  }

  /** Tells how soon what one member writes is in the other one's copy. */
  async #followOneByOne({ owner, guest, expected }: SharedBudget): Promise<void> {
    const ms: number[] = [];
    for (const entry of [...owner.rows().values()].slice(0, SINGLE_EDITS)) {
      const row = { ...entry.row, note: `${entry.row.note} ☑` };
      await owner.edit(entry, row);
      expected.set(row.row, row);
      const startedAt = performance.now();
      await guest.reach(expected);
      ms.push(performance.now() - startedAt);
      demand((ms.at(-1) ?? 0) < FOLLOWED_MS_MAX, "an edit was not told to the other member when it was made");
    }
    await owner.reach(expected);
    const [median = 0, slowest = 0] = [ms.toSorted((a, b) => a - b)[ms.length >> 1], Math.max(...ms)];
    const times = `${median.toFixed(0)} ms later, the slowest after ${slowest.toFixed(0)} ms`;
    this.say(
      `  ${SINGLE_EDITS} edits, one by one: an event came and \`changes\` had each, decrypted and compared ${times}`,
    );
  }

  /** Both write at the same time, each its own rows; both follow, and must end with the same. */
  async #editTogether(budget: SharedBudget): Promise<void> {
    const { owner, guest, expected } = budget;
    const before = [owner, guest].map(({ follower }) => follower.events);
    const [writes, took] = await timed(async () => {
      const [byOwner, byGuest] = await Promise.all([writeSome(owner, 0, expected), writeSome(guest, 1, expected)]);
      await Promise.all([owner.reach(expected), guest.reach(expected)]);
      return byOwner + byGuest;
    });
    const [ofOwner = 0, ofGuest = 0] = [owner, guest].map(
      ({ follower }, index) => follower.events - (before[index] ?? 0),
    );
    this.say(
      `  both made ${writes} changes side by side, and followed each other by ${ofOwner} and ${ofGuest} events;`,
    );
    this.say(`    both copies hold the same ${count(expected.size)} rows, everything that was written  (${took})`);
  }

  async #removeGuest({ owner, guest, expected }: SharedBudget): Promise<void> {
    const [tried, refused] = await timed(async () => {
      await remove(owner, guest);
      return tryEverything({
        device: guest.person.device,
        email: owner.person.user.email,
        key_id: owner.box.key_id,
        target: {
          box: guest.box,
          entry_id: [...guest.follower.copy.entries.keys()][0] ?? "",
          category_id: [...guest.follower.copy.categories.keys()][0] ?? "",
        },
      });
    });
    const [from, to] = [owner.person.name, guest.person.name];
    this.say(
      `  ${from} removed ${to}, whose token all ${tried} routes that it had opened refused at once  (${refused})`,
    );
    const [told] = await Promise.all([timed(() => hearOfRemoval(guest)), this.#rekey(owner, guest, expected)]);
    this.say(`  ${to}'s stream said "gone" and ended  (${told[1]} after the refusals)`);
  }

  async #rekey(owner: Member, guest: Member, expected: Map<number, BudgetRow>): Promise<void> {
    const [, took] = await timed(async () => {
      await owner.rekey();
      await owner.reach(expected);
    });
    const blobs = owner.blobs();
    const isOpen = blobs.some((blob) => opens(guest.key, blob));
    demand(!isOpen, "a blob of the re-keyed budget opens with the old key");
    const text = `all ${count(blobs.length)} blobs open with it, and none with the old one`;
    this.say(`  ${owner.person.name} re-keyed the budget with a new key in one request: ${text}  (${took})`);
    const [entry] = owner.rows().values();
    demand(entry !== undefined, "the re-keyed budget is empty");
    const row = { ...entry.row, note: "after the re-keying" };
    await owner.edit(entry, row);
    await owner.reach(expected.set(row.row, row));
  }
}

/** What an invitation says is sealed with a fresh key, and that key wrapped for the guest: the server can read neither. */
async function invite(owner: Member, guest: Person): Promise<void> {
  const { device, name } = owner.person;
  const { email, public_key_id } = guest.user;
  const publicKey = await device.client.must("GET", `/api/user/public-key?email=${encodeURIComponent(email)}`, {
    response: UserPublicKey,
    headers: device.headers(),
  });
  const isTheirs = publicKey.id === public_key_id && Buffer.compare(publicKey.value, guest.keys.publicKey) === 0;
  demand(isTheirs, `the server told another public key than ${guest.name}'s`);
  const shareKey = randomBytes(SHARE_KEY_BYTES);
  const { invitation } = newInvitation(CLOCK, email, {
    recipient_public_key_id_used_by_sender: publicKey.id,
    encryption_key_encrypted: seal(shareKey, owner.key.bytes),
    container_info_encrypted: seal(shareKey, Buffer.from(owner.box.id)),
    sender_info_encrypted: seal(shareKey, Buffer.from(name)),
    // Clients agree on how; these take the way in which the server wraps its own part of the invitation.
    share_info_symmetric_key_encrypted: await wrapForRecipient(publicKey.value, "acceptPrivateKey", shareKey),
  });
  granted(await postInvitation(device, owner.box, invitation));
}

/** All that the guest knows comes from the server and the guest's own private key. */
async function accept(guest: Person, sender: Person): Promise<Member> {
  const [pending, ...others] = await listPending(guest.device);
  demand(pending !== undefined && others.length === 0, `${guest.name} was told of ${others.length} more invitations`);
  const usedIds = [pending.recipient_public_key_id_used_by_sender, pending.recipient_public_key_id_used_by_server];
  demand(
    usedIds.every((id) => id === guest.user.public_key_id),
    "the invitation names another public key",
  );
  const shareKey = await guest.keys.unwrap("accept private key", pending.share_info_symmetric_key_encrypted);
  const textIn = (sealed: Uint8Array) => Buffer.from(open(shareKey, sealed)).toString();
  demand(textIn(pending.sender_info_encrypted) === sender.name, "the invitation names another sender");

  const received = await unwrapInvitation(guest.keys, pending, textIn(pending.container_info_encrypted));
  const { box, answer } = await mustAccept(guest.device, received);
  demand(box.id === received.container_id, "accepting the invitation opened another container");
  demand(!answer.read_only && !received.info.read_only, "the invitation was to write, but the key only reads");
  demand((await listPending(guest.device)).length === 0, "the invitation is still listed");
  const again = await putAccept(guest.device, acceptToken(received));
  demand(again.error?.err_type === "INVITATION_DOES_NOT_EXIST", `accepting it again was answered ${again.status}`);
  return Member.enter(guest, box, new ContainerKey(open(shareKey, answer.encryption_key_encrypted)));
}

/** Edits, creates and deletes rows that the other member leaves alone. @returns how many changes that were */
async function writeSome(member: Member, parity: 0 | 1, expected: Map<number, BudgetRow>): Promise<number> {
  const own = [...member.rows().values()].filter(({ row }) => row.row % 2 === parity);
  const [deleted, edited] = [own.slice(0, DELETED), own.slice(DELETED, own.length / 2)];
  const firstNew = Math.max(...expected.keys()) + 1;
  const added = Array.from({ length: NEW_ROWS }, (_, index) =>
    newRow(2 * (firstNew + index) + parity, member.person.name),
  );
  await Promise.all([
    inParallel(edited, async (entry) => {
      const row = { ...entry.row, category: "", note: `${member.person.name}: ✓ ${entry.row.note}` };
      await member.edit(entry, row);
      expected.set(row.row, row);
    }),
    inParallel(added, async (row) => {
      await member.create(row);
      expected.set(row.row, row);
    }),
    inParallel(deleted, async (entry) => {
      await member.delete(entry);
      expected.delete(entry.row.row);
    }),
  ]);
  return edited.length + added.length + deleted.length;
}

function newRow(row: number, payee: string): BudgetRow {
  return { row, date: "2026-03-01", payee, category: "Groceries", amount: "-4.20", note: "shared" };
}

/** @throws Deviation */
async function remove(owner: Member, guest: Member): Promise<void> {
  const { device } = owner.person;
  const { keys } = granted(await listMembers(device, owner.box));
  const [other] = keys.filter(({ is_own }) => !is_own);
  demand(keys.length === 2 && other !== undefined, `the budget has ${keys.length} members instead of 2`);
  demand(other.key_id === guest.box.key_id, "the list of members names another key");
  const { status } = await removeMember(device, owner.box, other.key_id);
  demand(status === 200, `removing a member was answered ${status}`);
}

/** @throws Deviation */
async function hearOfRemoval({ follower, person }: Member): Promise<void> {
  await follower.until(() => (follower.isGone ? undefined : `${person.name} was not told that the budget is gone`));
  await follower.until(() => (follower.ending === undefined ? "the stream goes on" : undefined));
  const { refusal = "CONTAINER_DOES_NOT_EXIST" } = follower;
  demand(refusal === "CONTAINER_DOES_NOT_EXIST", `asking for changes after the removal was answered ${refusal}`);
}

function opens(key: ContainerKey, blob: Uint8Array): boolean {
  try {
    key.open(blob);
    return true;
  } catch {
    return false;
  }
}
