/** Backs up a database, given as JSON, and prints the most memory that this process ever took, in bytes. */
import { writeBackup } from "../../src/backup/backup.ts";

const [address = "", file = ""] = process.argv.slice(2);
await writeBackup(JSON.parse(address), file, { secrets: {} });
console.log(process.resourceUsage().maxRSS * 1024);
process.exit(0);
