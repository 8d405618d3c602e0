/** The pages behind the link in the mail (decision A11, accounts.md 8.10). */
import type { UserToken } from "../crypto/userTokens.ts";
import { html } from "../html.ts";
import { addressLine, type Page, page, paragraph, tokenForm, VOID_LINK } from "../http/page.ts";
import { sendDeletionScheduled } from "../mail/accountLetters.ts";
import { nowMicros, type Services } from "../services.ts";
import { readLink, scheduleDeletion } from "./dao.ts";

const MICROS_PER_DAY = 86_400_000_000n;
/** The deletion job may have been down for so long when the deletion is due (decision A12). */
const KEYS_KEPT_AFTER_DAYS = 7n;

/** Links of the reference have its path and its name for the token; both names are read on both paths. */
const PATHS = ["/account/deletion", "/api/user/deletion/verify"] as const;
const tokenParameters = ["token", "x-user-deletion-token"];

export const deletionPages = PATHS.flatMap((path) => [
  page(
    {
      method: "GET",
      path,
      summary: "The page behind the link in the mail, with the button that confirms the deletion. It changes nothing.",
      limit: "light-auth",
      tokenParameters,
    },
    async ({ services, token }) => {
      const found = await readLink(services.db, verifyLink(services, token));
      if (!found) return VOID_LINK;
      return found.state === "open" ? askingPage(services, found.email, token) : alreadyPage(found.email);
    },
  ),

  page(
    {
      method: "POST",
      path,
      summary: "Confirms the deletion of an account: it is scheduled, and can be cancelled until it is done.",
      limit: "light-auth",
    },
    async ({ services, token }) => {
      const link = verifyLink(services, token);
      services.mailer.requireRoom(); // for the letter that tells the owner
      const delayDays = services.config.userDeletionDelayDays;
      const ready_time = nowMicros(services) + BigInt(delayDays) * MICROS_PER_DAY;
      const keys_kept_until = ready_time + KEYS_KEPT_AFTER_DAYS * MICROS_PER_DAY;
      const found = await scheduleDeletion(services.db, link, { ready_time, keys_kept_until });
      if (!found) return VOID_LINK;
      if (found.state === "scheduled-before") return alreadyPage(found.email);
      sendDeletionScheduled(services, found.email, delayDays);
      return scheduledPage(found.email, delayDays);
    },
  ),
]);

/** @throws ApiError INCORRECT_CREDENTIAL, TOKEN_EXPIRED, WRONG_TOKEN_TYPE, which the page's frame explains */
function verifyLink({ tokens, now }: Services, token: string): UserToken {
  return tokens.verify(tokens.decode(token), "UserDeletion", Math.floor(now() / 1000));
}

function askingPage({ config }: Services, email: string, token: string): Page {
  const when = inDays(config.userDeletionDelayDays);
  return {
    title: "Delete your account?",
    blocks: [
      addressLine(email),
      paragraph(
        `If you confirm it here, this account will be deleted ${when}, with everything that nobody else shares.`,
      ),
      paragraph(
        "Until then it works as before, and you can cancel the deletion in the app. After that, nothing can be brought back.",
      ),
      tokenForm(token, "Delete my account", { isDangerous: true }),
      html`<p class="aside">Do you want to keep it? Then just close this page.</p>`,
    ],
  };
}

function scheduledPage(email: string, delayDays: number): Page {
  return {
    title: "The deletion is scheduled",
    blocks: [
      addressLine(email),
      paragraph(`This account will be deleted ${inDays(delayDays)}.`),
      paragraph("Changed your mind? Until then you can cancel the deletion in the app."),
    ],
  };
}

function alreadyPage(email: string): Page {
  return {
    status: 400,
    title: "The deletion is already scheduled",
    blocks: [
      addressLine(email),
      paragraph("The deletion of this account was confirmed before."),
      paragraph("Until it is done, you can cancel it in the app."),
    ],
  };
}

function inDays(days: number): string {
  if (days === 0) return "very soon";
  return days === 1 ? "in 1 day" : `in ${days} days`;
}
