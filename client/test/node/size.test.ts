import { gzipSync } from "node:zlib";
import { rolldown } from "rolldown";
import { expect, it } from "vitest";

it("is smaller than 4 KiB, bundled, minified and compressed", async () => {
  const bundle = await rolldown({ input: new URL("../../src/index.ts", import.meta.url).pathname, external: () => false });
  const { output } = await bundle.generate({ minify: true, comments: false });
  expect(output).toHaveLength(1);
  const { code } = output[0];
  const size = gzipSync(code, { level: 9 }).length;
  process.stdout.write(`@pillbox/client: ${code.length} bytes, ${size} compressed\n`);
  expect(size).toBeLessThan(4096);
});
