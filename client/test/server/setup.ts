import type { TestProject } from "vitest/node";
import { startFaults } from "./faults.js";
import { startMedicine } from "./medicine.js";

declare module "vitest" {
  export interface ProvidedContext {
    faults: string;
    medicine: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const [faults, medicine] = await Promise.all([startFaults(), startMedicine(process.env.PILLBOX_TEST_ORIGIN ?? "")]);
  project.provide("faults", faults.address);
  project.provide("medicine", medicine.address);
  return async () => {
    faults.server.closeAllConnections();
    faults.server.close();
    await medicine.stop();
  };
}
