import { requirePassword } from "../auth/guesses.ts";
import { takeLinkMail } from "../auth/otp.ts";
import { requireNewAddress } from "../emailAddress.ts";
import { endpoint } from "../http/endpoint.ts";
import { nowMicros } from "../services.ts";
import { readAskingAccount } from "./dao.ts";
import { mailEmailChange } from "./link.ts";
import { EmailChangeRequest } from "./messages.ts";
import { addressPages } from "./pages.ts";

export const addressRoutes = [
  ...addressPages,
  endpoint(
    {
      method: "PUT",
      path: "/api/user/email",
      summary: "Mails a link to a new address, which becomes the account's when the link's page is confirmed.",
      limit: "expensive-auth",
      tokens: { user: true },
      request: EmailChangeRequest,
      errors: ["INCORRECTLY_FORMED", "TOO_MANY_ATTEMPTS"],
    },
    async ({ services, body, proofs: { user }, clientAddress }) => {
      const { user_id } = user;
      const new_email = requireNewAddress("new_email", body.new_email);
      const account = await readAskingAccount(services.db, user_id, new_email, nowMicros(services));
      await requirePassword(services, account, body.auth_string, clientAddress);
      await takeLinkMail(services, "email-link", user_id);
      const { token_epoch, email } = account;
      // The answer is the same for an address that is taken: only the mailbox itself learns it (decision A10).
      mailEmailChange(services, { user_id, token_epoch, email, new_email }, account.is_taken);
      return undefined;
    },
  ),
];
