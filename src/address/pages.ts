/** The page behind the link that confirms a new address (decision A10). */
import type { UserToken } from "../crypto/userTokens.ts";
import { html } from "../html.ts";
import { addressLine, type Page, page, paragraph, tokenForm, VOID_LINK } from "../http/page.ts";
import { sendNotice } from "../mail/accountLetters.ts";
import { nowMicros, type Services } from "../services.ts";
import { changeAddress, isLinkCurrent } from "./dao.ts";

const path = "/account/email";

export const addressPages = [
  page(
    {
      method: "GET",
      path,
      summary:
        "The page behind the link in the mail, with the button that confirms the new address. It changes nothing.",
      limit: "light-auth",
    },
    async ({ services, token }) => {
      const link = verifyLink(services, token);
      return (await isLinkCurrent(services.db, link)) ? askingPage(link.new_email, token) : VOID_LINK;
    },
  ),

  page(
    {
      method: "POST",
      path,
      summary: "Gives the account its new address and tells both addresses.",
      limit: "light-auth",
    },
    async ({ services, token }) => {
      const link = verifyLink(services, token);
      const { new_email } = link;
      services.mailer.requireRoom(); // for the letters that tell the owner
      const outcome = await changeAddress(services.db, link, nowMicros(services));
      if (outcome === "void") return VOID_LINK;
      if (outcome === "taken") return takenPage(new_email);
      sendNotice(services, outcome.former_email, "address-changed");
      sendNotice(services, new_email, "address-is-yours");
      return changedPage(new_email);
    },
  ),
];

/** @throws ApiError INCORRECT_CREDENTIAL, TOKEN_EXPIRED, WRONG_TOKEN_TYPE, which the page's frame explains */
function verifyLink({ tokens, now }: Services, token: string): UserToken {
  return tokens.verify(tokens.decode(token), "EmailChange", Math.floor(now() / 1000));
}

function askingPage(new_email: string, token: string): Page {
  return {
    title: "Use this address?",
    blocks: [
      addressLine(new_email),
      paragraph(
        "This will be the e-mail address of your account: you sign in with it, and mail about the account goes there.",
      ),
      paragraph("Your devices stay signed in."),
      tokenForm(token, "Use this address"),
      html`<p class="aside">You did not ask for this? Then just close this page.</p>`,
    ],
  };
}

function changedPage(new_email: string): Page {
  return {
    title: "Your address is changed",
    blocks: [
      addressLine(new_email),
      paragraph("This is the e-mail address of your account now. Sign in with it from now on."),
      paragraph("Your devices stay signed in."),
    ],
  };
}

function takenPage(new_email: string): Page {
  return {
    status: 400,
    title: "This address is in use",
    blocks: [
      addressLine(new_email),
      paragraph("Another account has this e-mail address by now. Nothing was changed."),
      paragraph("To change the address of your account, start again in the app with another one."),
    ],
  };
}
