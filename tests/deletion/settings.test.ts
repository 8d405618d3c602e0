import { describe, expect, test } from "bun:test";
import { routes } from "../../src/app.ts";
import { loadConfig } from "../../src/config.ts";

const warningsFor = (url: string) => loadConfig({ ENTRIES_USER_DELETION_URL: url }).warnings;

describe("C21: the base of the link", () => {
  test.each([
    "https://entries.example.org/api/user/delete",
    "https://entries.example.org/account/deletions",
    "https://entries.example.org",
  ])("C21: %s, which no page of this server answers, is a warning that names the right paths", (url) => {
    expect(warningsFor(url)).toEqual([expect.stringContaining("/account/deletion and /api/user/deletion/verify")]);
    expect(warningsFor(url)).toEqual([expect.stringContaining(`"${url}"`)]);
  });

  test.each([
    "https://entries.example.org/account/deletion",
    "https://entries.example.org/app/account/deletion/",
    "https://entries.example.org/api/user/deletion/verify",
  ])("C21: %s is fine, also behind a proxy that takes a prefix off", (url) => {
    expect(warningsFor(url)).toEqual([]);
  });

  test("C21: the paths that the warning names have pages", () => {
    const [warning = ""] = warningsFor("https://entries.example.org/api/user/delete");
    const named = ["/account/deletion", "/api/user/deletion/verify"].filter((path) => warning.includes(path));
    expect(named).toHaveLength(2);
    for (const path of named) {
      for (const method of ["GET", "POST"]) {
        const page = routes.find(({ spec }) => spec.path === path && spec.method === method);
        expect(page?.spec.answers, `${method} ${path}`).toBe("page");
      }
    }
  });
});
