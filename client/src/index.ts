import { createClient } from "./client.js";

export { createClient, type Client, type ClientOptions } from "./client.js";
export { PillboxError } from "./error.js";
export type { LiveOptions, LiveSession } from "./live.js";
export type { RequestOptions } from "./request.js";
export type { LiveState } from "./state.js";

/** The client of the functions below: addresses are relative to the page. */
const page = /* @__PURE__ */ createClient();

/** As {@link Client.fetchGet}, relative to the page. */
export const fetchGet = page.fetchGet;

/** As {@link Client.fetchPost}, relative to the page. */
export const fetchPost = page.fetchPost;

/** As {@link Client.fetchPut}, relative to the page. */
export const fetchPut = page.fetchPut;

/** As {@link Client.fetchDelete}, relative to the page. */
export const fetchDelete = page.fetchDelete;

/** As {@link Client.live}, relative to the page. */
export const live = page.live;
