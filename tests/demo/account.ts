/** The chapter of the demo about one account: its devices, an authenticator app, and a day on which all are lost. */
import { TOTP, URI } from "otpauth";
import { AuthenticatedSession, CredentialPair, Otp, SigninToken } from "../../src/auth/messages.ts";
import { PasswordProof, RecoveryCodes, TotpCode, TotpEnrolment } from "../../src/factor/messages.ts";
import {
  RecoveryCredential,
  RecoveryKeyAuthAndPasswordUpdate,
  RecoveryMaterial,
  RecoveryParams,
} from "../../src/recovery/messages.ts";
import { SessionList } from "../../src/session/messages.ts";
import { NewUser } from "../../src/user/messages.ts";
import type { Encoding } from "../../src/wire/negotiation.ts";
import { Client, Device } from "../support/client.ts";
import type { Outbox } from "../support/outbox.ts";
import { demand } from "./demand.ts";
import { accountOf, derive, newRecoveryKey, open, passwordPart, recoveryPart } from "./secrets.ts";

const PASSWORD = "correct horse battery staple";
const NEW_PASSWORD = "another horse, another staple";
const PREFERENCES = "currency: EUR; week starts on Monday";
/** A mail that is not sent must be seen not to come. */
const NO_MAIL_MS = 500;

export class AccountStory {
  readonly #api: Client;
  readonly #recoveryKey = newRecoveryKey();
  readonly #user: NewUser;

  constructor(
    base: string,
    encoding: Encoding,
    private readonly outbox: Outbox,
    private readonly say: (text: string) => void,
  ) {
    this.#api = new Client((request) => fetch(request), encoding, base);
    this.#user = accountOf(PASSWORD, this.#recoveryKey, PREFERENCES);
  }

  /** @throws Deviation, Refused */
  async tell(): Promise<void> {
    const laptop = await this.#signUp();
    const phone = await this.#signInByMail(PASSWORD);
    this.say(
      "  signed up on the laptop; the phone signed in with password and passcode, and decrypted the preferences",
    );
    const enrolled = await this.#enrolAuthenticator(laptop);
    const tablet = await this.#signInByAuthenticator(enrolled.authenticator);
    this.say("  an authenticator app was enrolled (TOTP); the tablet signed in with its code, and no mail was sent");
    await this.#endOtherSessions(laptop, [phone, tablet]);
    this.say("  the laptop logged out all other devices: phone and tablet were refused at once, tokens unexpired");
    await this.#recover();
    const fresh = await this.#signInByMail(NEW_PASSWORD);
    await this.#demandRefused(laptop, "the laptop, after the recovery,");
    demand((await this.#sessionsOf(fresh)) === 1, "the recovery left other sessions");
    this.say("  all devices lost: a new one that knew only address and recovery key set a new password, signed in and");
    this.say("    decrypted the same preferences; the laptop's session and the old password were void");
  }

  async #signUp(): Promise<Device> {
    const { value: token } = await this.#api.must("POST", "/api/user", {
      request: [NewUser, this.#user],
      response: SigninToken,
    });
    return this.#finishSignIn(token, { value: await this.outbox.passcodeFor(this.#user.email) }, PASSWORD);
  }

  async #signInByMail(password: string): Promise<Device> {
    const { value: token } = await this.#startSignIn(password, {});
    return this.#finishSignIn(token, { value: await this.outbox.passcodeFor(this.#user.email) }, password);
  }

  async #signInByAuthenticator(authenticator: TOTP): Promise<Device> {
    await Bun.sleep(NO_MAIL_MS); // for the notice of the enrolment
    const mails = this.outbox.names().length;
    const { value: token } = await this.#startSignIn(PASSWORD, { without_otp_mail: true });
    // The code of the enrolment is used up; the next one is good already, half a minute early.
    const totp = authenticator.generate({ timestamp: Date.now() + authenticator.period * 1000 });
    const device = await this.#finishSignIn(token, { value: "", totp }, PASSWORD);
    await Bun.sleep(NO_MAIL_MS);
    demand(this.outbox.names().length === mails, "a passcode was mailed although the client asked for none");
    return device;
  }

  async #startSignIn(password: string, options: { without_otp_mail?: true }) {
    const { email } = this.#user;
    const { value: challenge } = await this.#api.nonce(email);
    demand(challenge !== undefined, "no nonce was given");
    const { nonce, auth_string_hash_salt } = challenge;
    return this.#api.must("POST", "/api/auth/sign-in", {
      request: [CredentialPair, { email, auth_string: derive(password, auth_string_hash_salt), nonce, ...options }],
      response: SigninToken,
    });
  }

  /** Shows the code, and that what comes back can be decrypted with nothing but the password. */
  async #finishSignIn(signinToken: string, code: Otp, password: string): Promise<Device> {
    const session = await this.#api.must("POST", "/api/auth/otp/verify", {
      request: [Otp, code],
      response: AuthenticatedSession,
      headers: { "x-signin-token": signinToken },
    });
    const passwordKey = derive(password, session.password_encryption_key_salt);
    const accountKey = open(passwordKey, session.encryption_key_encrypted_with_password);
    const preferences = Buffer.from(open(accountKey, session.preferences_encrypted)).toString();
    demand(preferences === PREFERENCES, "the preferences that came back are others");
    return new Device(this.#api, session.tokens?.access_token ?? "", session.tokens?.refresh_token ?? "");
  }

  async #enrolAuthenticator(device: Device): Promise<{ authenticator: TOTP }> {
    const { uri } = await this.#api.must("POST", "/api/user/second-factor/totp", {
      request: [PasswordProof, { auth_string: this.#user.auth_string }],
      response: TotpEnrolment,
      headers: device.headers(),
    });
    const authenticator = authenticatorFor(uri);
    const { codes } = await this.#api.must("POST", "/api/user/second-factor/totp/confirm", {
      request: [TotpCode, { value: authenticator.generate() }],
      response: RecoveryCodes,
      headers: device.headers(),
    });
    demand(codes.length === 10, `${codes.length} recovery codes came with the authenticator`);
    return { authenticator };
  }

  async #endOtherSessions(device: Device, others: readonly Device[]): Promise<void> {
    demand((await this.#sessionsOf(device)) === 1 + others.length, "the list of sessions is not complete");
    await this.#api.must("DELETE", "/api/auth/session/all-others", { headers: device.headers() });
    for (const other of others) await this.#demandRefused(other, "a device that was logged out");
    demand((await this.#sessionsOf(device)) === 1, "sessions are left that were ended");
  }

  async #sessionsOf(device: Device): Promise<number> {
    const call = { response: SessionList, headers: device.headers() };
    return (await this.#api.must("GET", "/api/auth/session", call)).sessions.length;
  }

  async #demandRefused(device: Device, who: string): Promise<void> {
    const { error } = await this.#api.call("GET", "/api/auth/session", { headers: device.headers() });
    demand(error?.err_type === "TOKEN_EXPIRED", `${who} was answered ${error?.err_type ?? "with its sessions"}`);
    const refreshed = await this.#api.refresh(device.refreshToken);
    demand(refreshed.error?.err_type === "TOKEN_EXPIRED", `${who} could refresh its session`);
  }

  /** Everything that is used here beside the address and the recovery key comes from the server. */
  async #recover(): Promise<void> {
    const { email: user_email } = this.#user;
    const params = await this.#api.must("GET", `/api/auth/recovery-params?email=${encodeURIComponent(user_email)}`, {
      response: RecoveryParams,
    });
    const recovery_key_hash_for_recovery_auth = derive(
      this.#recoveryKey,
      params.recovery_key_hash_salt_for_recovery_auth,
    );
    const { encryption_key_encrypted_with_recovery_key } = await this.#api.must("POST", "/api/auth/recovery/begin", {
      request: [RecoveryCredential, { email: user_email, recovery_key_hash_for_recovery_auth }],
      response: RecoveryMaterial,
    });
    const recoveryKey = derive(this.#recoveryKey, params.recovery_key_hash_salt_for_encryption);
    const accountKey = open(recoveryKey, encryption_key_encrypted_with_recovery_key);
    const update = recoveryOf(accountKey);
    await this.#api.must("POST", "/api/auth/recover-with-recovery-key", {
      request: [RecoveryKeyAuthAndPasswordUpdate, { ...update, user_email, recovery_key_hash_for_recovery_auth }],
    });
    const old = await this.#api.signIn(user_email, this.#user.auth_string);
    demand(old.error?.err_type === "INCORRECT_CREDENTIAL", "the old password still opens the account");
  }
}

/** New password and new recovery key for the same account key. */
function recoveryOf(accountKey: Uint8Array) {
  const password = passwordPart(NEW_PASSWORD, accountKey);
  const recovery = recoveryPart(newRecoveryKey(), accountKey);
  return {
    new_auth_string: password.auth_string,
    new_auth_string_hash_salt: password.auth_string_hash_salt,
    new_auth_string_hash_mem_cost_kib: password.auth_string_hash_mem_cost_kib,
    new_auth_string_hash_threads: password.auth_string_hash_threads,
    new_auth_string_hash_iterations: password.auth_string_hash_iterations,
    new_password_encryption_key_salt: password.password_encryption_key_salt,
    new_password_encryption_key_mem_cost_kib: password.password_encryption_key_mem_cost_kib,
    new_password_encryption_key_threads: password.password_encryption_key_threads,
    new_password_encryption_key_iterations: password.password_encryption_key_iterations,
    encryption_key_encrypted_with_new_password: password.encryption_key_encrypted_with_password,
    new_recovery_key_hash_salt_for_encryption: recovery.recovery_key_hash_salt_for_encryption,
    new_recovery_key_hash_salt_for_recovery_auth: recovery.recovery_key_hash_salt_for_recovery_auth,
    new_recovery_key_hash_mem_cost_kib: recovery.recovery_key_hash_mem_cost_kib,
    new_recovery_key_hash_threads: recovery.recovery_key_hash_threads,
    new_recovery_key_hash_iterations: recovery.recovery_key_hash_iterations,
    new_recovery_key_auth_hash: recovery.recovery_key_auth_hash,
    encryption_key_encrypted_with_new_recovery_key: recovery.encryption_key_encrypted_with_recovery_key,
  };
}

/** As an app makes it from the QR code. */
function authenticatorFor(uri: string): TOTP {
  const parsed = URI.parse(uri);
  demand(parsed instanceof TOTP, "the enrolment is not for TOTP");
  return parsed;
}
