import { describe, expect, it } from "vitest";
import { HOME, localPath, nextOf, signInAddress } from "../src/lib/next.js";

describe("the page after signing in", () => {
  it.each(["/", "/devices", "/pharmacy?x=1#y", "/a/../b", "/@host", "/%2f%2fhost", "/ü"])("may be %s", (path) => {
    expect(localPath(path)).toBe(path);
  });

  it.each([
    "",
    "devices",
    "//host",
    "///host",
    "/\\host",
    "\\/host",
    "/a\\..\\\\host",
    "/\t/host",
    "/\n/host",
    "\t//host",
    " //host",
    "/\u0000",
    "/\u0085",
    "https://host/",
    "https:/devices",
    "javascript:alert(1)",
    "/login",
    "/login?next=/login",
    "/register",
  ])("is not %j", (path) => {
    expect(localPath(path)).toBe(HOME);
  });

  it("is read from the address", () => {
    expect(nextOf("?next=/devices")).toBe("/devices");
    expect(nextOf("?next=%2Fdevices&next=//host")).toBe("/devices");
    expect(nextOf("?next=%2F%2Fhost")).toBe(HOME);
    expect(nextOf("?next=/%09/host")).toBe(HOME);
    expect(nextOf("")).toBe(HOME);
  });

  it("is where the address of the form leads back to", () => {
    expect(signInAddress("/dashboard")).toBe("/login?next=/dashboard");
    expect(signInAddress("/")).toBe("/login");
    expect(nextOf(new URL(signInAddress("/a&b?c=d#e"), "http://here").search)).toBe("/a&b?c=d#e");
  });
});
