/**
 * Sign-in challenges (decision A6): every fetch of parameters makes a fresh nonce, for any address, so that known and
 * unknown addresses behave alike.
 */
import { createHmac } from "node:crypto";
import { auth as queries } from "../db/queries.ts";
import { lookupForm } from "../emailAddress.ts";
import { nowMicros, type Services } from "../services.ts";
import type { SigninNonceAndHashParams } from "./messages.ts";

const CHALLENGE_LIFETIME_MICROS = 10n * 60_000_000n;
const PHONY_SALT_BYTES = 16;

/** Stores a challenge for the address and returns what its client must hash with; made up for unknown addresses. */
export async function createChallenge(services: Services, anyText: string): Promise<SigninNonceAndHashParams> {
  const { db, config } = services;
  const address = lookupForm(anyText);
  const nonce = crypto.getRandomValues(new Int32Array(1))[0] ?? 0;
  const now = nowMicros(services);
  const stored = await queries.create_challenge(db, {
    address_hmac: addressHmac(services, address),
    nonce,
    expiration: now + CHALLENGE_LIFETIME_MICROS,
    now,
    email: address,
  });
  return {
    auth_string_hash_salt: stored.auth_string_hash_salt ?? phonySalt(services, address),
    auth_string_hash_mem_cost_kib: stored.auth_string_hash_mem_cost_kib ?? config.clientAuthStringHashMemCostKib,
    auth_string_hash_threads: stored.auth_string_hash_threads ?? config.clientAuthStringHashThreads,
    auth_string_hash_iterations: stored.auth_string_hash_iterations ?? config.clientAuthStringHashIterations,
    nonce,
  };
}

/** Takes the challenge that a client presents, once, and reads the account of the address. */
export async function takeChallenge(services: Services, address: string, nonce: number) {
  return queries.take_challenge(services.db, {
    address_hmac: addressHmac(services, address),
    nonce,
    now: nowMicros(services),
    email: address,
  });
}

function addressHmac({ keys }: Services, address: string): Uint8Array {
  return createHmac("sha256", keys.address).update(address).digest();
}

/** Constant per address: a real salt does not change either. */
function phonySalt({ keys }: Services, address: string): Uint8Array {
  return createHmac("sha256", keys.phony).update(`salt\n${address}`).digest().subarray(0, PHONY_SALT_BYTES);
}
