/** The rows of accounts.md and the attacks of issue 4, each with its test: contractRows.accounts.md. */
import { testContractRows } from "./support/contractRows.ts";

testContractRows("contractRows.accounts.md", [
  { prefix: "7.", last: 9 },
  { prefix: "8.", last: 12 },
  { prefix: "C", last: 24 },
  { prefix: "S", last: 21 },
  { prefix: "E", last: 6 },
  { prefix: "15 tokens ", last: 16 },
  { prefix: "15 sign-in ", last: 29 },
  { prefix: "15 refresh ", last: 10 },
  { prefix: "15 recovery ", last: 7 },
  { prefix: "15 user ", last: 34 },
  { prefix: "attack ", last: 24 },
]);
