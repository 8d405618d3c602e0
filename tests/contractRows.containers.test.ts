/** The rows of containers.md, the attacks of issue 5, and the decisions, each with its test: contractRows.containers.md. */
import { testContractRows } from "./support/contractRows.ts";

testContractRows("contractRows.containers.md", [
  { prefix: "4.", last: 12 },
  { prefix: "5.", last: 7 },
  { prefix: "8 security ", last: 11 },
  { prefix: "8 crashes ", last: 9 },
  { prefix: "8 races ", last: 6 },
  { prefix: "8 data ", last: 11 },
  { prefix: "8 round trips ", last: 12 },
  { prefix: "11.", last: 19 },
  { prefix: "attack ", last: 11 },
  { prefix: "C", last: 11 },
  { prefix: "W", first: 2, last: 9 },
  { prefix: "W", first: 15, last: 15 },
]);
