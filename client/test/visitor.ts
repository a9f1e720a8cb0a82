import { inject } from "vitest";
import { createClient, type Client } from "../src/index.js";

const baseUrl = inject("medicine");

/** Node's fetch keeps no cookies, so a visitor there has a jar. */
function jar(): typeof fetch {
  const cookies = new Map<string, string>();
  return async (input, init) => {
    const headers = new Headers(init?.headers);
    if (cookies.size) headers.set("Cookie", Array.from(cookies, ([name, value]) => `${name}=${value}`).join("; "));
    const response = await fetch(input, { ...init, headers });
    for (const line of response.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]*)=([^;]*)/.exec(line) ?? [];
      if (/;\s*max-age=(0|-\d+)/i.test(line)) cookies.delete(name);
      else cookies.set(name, value);
    }
    return response;
  };
}

/** A visitor's client. In the browser they are all one visitor, who begins anew each time. */
export async function visitor(): Promise<Client> {
  if (!("document" in globalThis)) return createClient({ baseUrl, fetch: jar() });
  const client = createClient({ baseUrl });
  await client.fetchPost("/logout", {});
  return client;
}

/** A name that nobody has yet. */
export const someone = () => `visitor-${Math.random().toString(36).slice(2)}`;
export const password = "a long enough pass phrase";
