import { createServer } from "node:net";
import { playwright } from "@vitest/browser-playwright";
import { defineConfig } from "vitest/config";

/** A port that nobody listens on: the application has to know the origin of the tests' pages before they are served. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (typeof address !== "object" || address === null) throw new Error("no port");
  return address.port;
}

// This file is read once for each project, and all of them have to agree.
process.env.PILLBOX_TEST_ORIGIN ??= `http://localhost:${await freePort()}`;
const port = Number(new URL(process.env.PILLBOX_TEST_ORIGIN).port);

export default defineConfig({
  server: { fs: { strict: true } },
  optimizeDeps: { noDiscovery: true },
  test: {
    globalSetup: ["test/server/setup.ts"],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    projects: [
      {
        extends: true,
        test: {
          name: "node",
          include: ["test/*.test.ts", "test/node/*.test.ts"],
        },
      },
      {
        extends: true,
        test: {
          name: "browser",
          include: ["test/*.test.ts", "test/browser/*.test.ts"],
          // A browser gives a host six connections, and the streams of the tests hold them.
          fileParallelism: false,
          browser: {
            enabled: true,
            headless: true,
            screenshotFailures: false,
            api: { host: "localhost", port, strictPort: true },
            provider: playwright({
              launchOptions: {
                executablePath: process.env.PILLBOX_CHROMIUM || "/usr/bin/chromium",
                args: ["--no-sandbox"],
              },
            }),
            instances: [{ browser: "chromium" }],
          },
        },
      },
    ],
  },
});
