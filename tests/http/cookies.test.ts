import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseCookies, removeCookie, setCookie } from "../../src/http/cookies.ts";

describe("reading cookies", () => {
  test("P7: of two cookies with one name all values are kept in their order", () => {
    const cookies = parseCookies("x-refresh-token=new; other=1; x-refresh-token=old");
    expect(cookies.all("x-refresh-token")).toEqual(["new", "old"]);
    expect(cookies.all("other")).toEqual(["1"]);
  });

  test("P7: a malformed pair does not hide the others", () => {
    const cookies = parseCookies(";; broken; =nameless; a=1;b = 2 ; \u00ff=3;c=");
    expect(cookies.all("a")).toEqual(["1"]);
    expect(cookies.all("b")).toEqual(["2"]);
    expect(cookies.all("c")).toEqual([""]);
    expect(cookies.all("broken")).toEqual([]);
    expect(cookies.all("broke")).toEqual([]); // its name is not cut either
  });

  test("accounts 2.2: values are percent-decoded, and taken as they are where that fails", () => {
    const cookies = parseCookies("a=eyJ9%3D%3D; b=100%; c=%ff; d=x+y/z==");
    expect(cookies.all("a")).toEqual(["eyJ9=="]);
    expect(cookies.all("b")).toEqual(["100%"]);
    expect(cookies.all("c")).toEqual(["%ff"]);
    expect(cookies.all("d")).toEqual(["x+y/z=="]);
  });

  test("no header and an empty one hold no cookie, and names of objects' members are plain names", () => {
    expect(parseCookies(null).all("a")).toEqual([]);
    expect(parseCookies("").all("a")).toEqual([]);
    expect(parseCookies("a=1").all("constructor")).toEqual([]);
    expect(parseCookies("__proto__=1").all("__proto__")).toEqual(["1"]);
  });

  test("P7: a good cookie is found beside any junk", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (before, after) => {
        const junk = (text: string) => text.replaceAll("good", "");
        expect(parseCookies(`${junk(before)};good=1;${junk(after)}`).all("good")).toEqual(["1"]);
      }),
    );
  });
});

describe("setting cookies", () => {
  test("accounts 3.2: the CSRF, access and sign-in cookies have their exact attributes", () => {
    expect(setCookie("x-csrf-token", "a+/=", 86_400)).toEqual([
      "x-csrf-token=a+/=; Path=/api; Max-Age=86400; HttpOnly; Secure; SameSite=Lax",
    ]);
    expect(setCookie("x-access-token", "t", 900)).toEqual([
      "x-access-token=t; Path=/api; Max-Age=900; HttpOnly; Secure; SameSite=Lax",
    ]);
    expect(setCookie("x-signin-token", "t", 1800)).toEqual([
      "x-signin-token=t; Path=/api/auth/otp; Max-Age=1800; HttpOnly; Secure; SameSite=Strict",
    ]);
  });

  test("P7: the refresh cookie covers /api/auth, and setting it first removes the one at the reference's path", () => {
    const [removal = "", cookie, ...rest] = setCookie("x-refresh-token", "t", 2_592_000);
    expect(removal).toStartWith("x-refresh-token=; Path=/api/auth/token/refresh; Max-Age=0; ");
    expect(cookie).toBe("x-refresh-token=t; Path=/api/auth; Max-Age=2592000; HttpOnly; Secure; SameSite=Strict");
    expect(rest).toEqual([]);
  });

  test("accounts 3.2: a removal has an empty value, the same Path, Max-Age=0, a past Expires and no SameSite", () => {
    const [removal = "", ...rest] = removeCookie("x-signin-token");
    expect(rest).toEqual([]);
    const [, expires = ""] =
      /^x-signin-token=; Path=\/api\/auth\/otp; Max-Age=0; Expires=([^;]+ GMT); HttpOnly; Secure$/.exec(removal) ?? [];
    const agoDays = (Date.now() - Date.parse(expires)) / 86_400_000;
    expect(agoDays).toBeGreaterThan(360);
    expect(agoDays).toBeLessThan(370);
  });

  test("P7: removing the refresh cookie removes it at both paths", () => {
    const paths = removeCookie("x-refresh-token").map((text) => /Path=([^;]+)/.exec(text)?.[1]);
    expect(paths).toEqual(["/api/auth/token/refresh", "/api/auth"]);
  });
});
