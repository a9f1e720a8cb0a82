import { execFile, spawn, type ChildProcess } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const root = fileURLToPath(new URL("../../..", import.meta.url));

/** Builds and starts the application, whose sessions pages of origin may use, too. */
export async function startMedicine(origin: string): Promise<{ address: string; stop(): Promise<void> }> {
  const dir = await mkdtemp(join(tmpdir(), "pillbox-client-"));
  const program = join(dir, process.platform === "win32" ? "medicine.exe" : "medicine");
  await promisify(execFile)("go", ["build", "-o", program, "./cmd/medicine"], { cwd: root });
  const child = spawn(program, ["-addr", "localhost:0", "-store", "memory:", "-origins", origin], {
    cwd: dir,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const stop = async () => {
    await ended(child);
    await rm(dir, { recursive: true, force: true });
  };
  let said = "";
  child.stderr.on("data", (text) => (said += text));
  try {
    for await (const line of createInterface(child.stdout)) {
      const address = /open at (http:\S+)/.exec(line)?.[1];
      if (!address) continue;
      child.stdout.resume();
      return { address, stop };
    }
  } catch (error) {
    await stop();
    throw error;
  }
  await stop();
  throw new Error(`medicine ended before it said its address: ${said}`);
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  const hard = setTimeout(() => child.kill("SIGKILL"), 12_000);
  await exit;
  clearTimeout(hard);
}
