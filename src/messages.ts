/**
 * Every message of the wire, for the `.proto` text, the API description and the tests. It stands beside the features
 * and not in `wire/`, because `wire/` is shared and imports no feature.
 */
import * as address from "./address/messages.ts";
import * as auth from "./auth/messages.ts";
import * as category from "./category/messages.ts";
import * as container from "./container/messages.ts";
import * as credential from "./credential/messages.ts";
import * as deletion from "./deletion/messages.ts";
import * as entry from "./entry/messages.ts";
import * as factor from "./factor/messages.ts";
import * as invitation from "./invitation/messages.ts";
import * as recovery from "./recovery/messages.ts";
import * as session from "./session/messages.ts";
import * as sync from "./sync/messages.ts";
import * as user from "./user/messages.ts";
import * as common from "./wire/common.ts";
import type { Message } from "./wire/message.ts";

export const MESSAGES: readonly Message[] = [
  common,
  auth,
  session,
  recovery,
  user,
  credential,
  address,
  deletion,
  factor,
  container,
  entry,
  category,
  invitation,
  sync,
].flatMap((definitions) => Object.values(definitions));
