import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

const root = fileURLToPath(new URL(".", import.meta.url));

/** The client package, which is built into the pages from its sources. */
const client = "../../client/src";

/**
 * The files that decide what a build looks like, as sorted paths with slashes.
 * Files whose name begins with a dot are left out: they belong to editors.
 * web_test.go lists the same files; a change here is a change there.
 */
function sources(): string[] {
  const top = readdirSync(root).filter(
    (name) =>
      ["index.html", "package.json", "package-lock.json", "svelte.config.js", "vite.config.ts"].includes(name) || /^tsconfig.*\.json$/.test(name),
  );
  const below = ["src", "public", client].flatMap((dir) =>
    readdirSync(root + dir, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && !entry.name.startsWith("."))
      .map((entry) => relative(root, join(entry.parentPath, entry.name)).replaceAll("\\", "/")),
  );
  return [...top, ...below].sort();
}

/** SHA-256 over, for each source in order: path, newline, length in decimal, newline, bytes. */
function stamp(): string {
  const hash = createHash("sha256");
  for (const path of sources()) {
    const bytes = readFileSync(root + path);
    hash.update(`${path}\n${bytes.length}\n`).update(bytes);
  }
  return hash.digest("hex");
}

/** Writes the stamp of the sources beside what was built from them. */
function stamped(): Plugin {
  return {
    name: "medicine-stamp",
    apply: "build",
    generateBundle() {
      this.emitFile({ type: "asset", fileName: "stamp.txt", source: `${stamp()}\n` });
    },
  };
}

export default defineConfig(({ mode }) => ({
  plugins: [svelte(), stamped()],
  resolve: {
    alias: { "@pillbox/client": fileURLToPath(new URL(`${client}/index.ts`, import.meta.url)) },
    // Svelte's browser build keeps runes live in tests too.
    ...(mode === "test" ? { conditions: ["browser"] } : {}),
  },
  server: {
    port: 5173,
    strictPort: true,
    // Some addresses are both a page and what its forms and scripts are sent to. A page is Vite's, but for the lab's frame.
    proxy: {
      "^/(employees|pills|session|sessions|me|login|register|logout|pharmacy|devices|lab|live)(/|\\?|$)": {
        target: process.env.MEDICINE ?? "http://localhost:8080",
        bypass: (request) =>
          request.method === "GET" && request.headers.accept?.includes("text/html") && !request.url?.startsWith("/lab/") ? request.url : undefined,
      },
    },
  },
  build: {
    target: ["chrome123", "edge123", "firefox121", "safari17.5"], // light-dark() in CSS
    assetsInlineLimit: 0, // data: addresses would need a wider Content-Security-Policy
    modulePreload: { polyfill: false },
    cssCodeSplit: false,
    rolldownOptions: {
      output: {
        // Names without hashes keep the committed dist readable in a diff; the server sends an ETag.
        entryFileNames: "assets/app.js",
        chunkFileNames: "assets/[name].js",
        assetFileNames: (asset) => (asset.names.some((name) => name.endsWith(".css")) ? "assets/app.css" : "assets/[name][extname]"),
      },
    },
  },
  test: {
    include: ["test/**/*.test.ts"],
    restoreMocks: true,
    unstubGlobals: true,
  },
}));
