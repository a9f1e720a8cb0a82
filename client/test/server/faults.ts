import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What a scenario answers to one request. */
export interface Answer {
  status?: number;
  headers?: Record<string, string>;
  /** Pieces of the body, each in base64 so that it may be any bytes, or a time to wait in milliseconds. */
  pieces?: (string | number)[];
  /** What becomes of the answer after the pieces. The default is "end". */
  then?: "end" | "cut" | "hold";
}

/** A request as a scenario saw it. */
export interface Seen {
  method: string;
  headers: Record<string, string | string[] | undefined>;
  body: string;
  at: number;
}

interface Scenario {
  answers: Answer[];
  seen: Seen[];
  held: Set<ServerResponse>;
}

/**
 * Starts a server that answers as it is told, for what no good server does.
 *
 *   POST /scenarios  Answer[]    makes a scenario and answers with its number
 *   ANY /s/N                     takes the scenario's next answer; the last one stays
 *   GET /seen/N                  what the scenario was asked
 *   POST /push/N     text        writes to the answers that are held
 *   POST /cut/N                  cuts them
 */
export async function startFaults(): Promise<{ server: Server; address: string }> {
  const scenarios: Scenario[] = [];
  const server = createServer((request, response) => {
    serve(scenarios, request, response).catch((error: unknown) => response.destroy(error as Error));
  });
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
  return { server, address: `http://localhost:${(server.address() as AddressInfo).port}` };
}

async function serve(scenarios: Scenario[], request: IncomingMessage, response: ServerResponse): Promise<void> {
  response.setHeader("Access-Control-Allow-Origin", request.headers.origin ?? "*");
  response.setHeader("Access-Control-Allow-Credentials", "true");
  response.setHeader("Access-Control-Expose-Headers", "Retry-After");
  if (request.method === "OPTIONS") {
    response.setHeader("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE");
    response.setHeader("Access-Control-Allow-Headers", "content-type");
    response.setHeader("Access-Control-Max-Age", "600");
    response.writeHead(204).end();
    return;
  }
  let body = "";
  for await (const piece of request.setEncoding("utf8")) body += piece;
  const [, what = "", number = ""] = (request.url ?? "").split(/[/?]/);
  if (what === "scenarios") {
    scenarios.push({ answers: JSON.parse(body), seen: [], held: new Set() });
    response.end(String(scenarios.length - 1));
    return;
  }
  const scenario = scenarios[Number(number)];
  if (!scenario) {
    response.writeHead(404).end("no such scenario");
    return;
  }
  switch (what) {
    case "s":
      scenario.seen.push({ method: request.method ?? "", headers: request.headers, body, at: Date.now() });
      return answer(scenario, response);
    case "seen":
      response.end(JSON.stringify(scenario.seen));
      return;
    case "push":
      for (const held of scenario.held) held.write(body);
      response.end(String(scenario.held.size));
      return;
    case "cut":
      for (const held of scenario.held) held.destroy();
      response.end();
      return;
  }
  response.writeHead(404).end();
}

async function answer(scenario: Scenario, response: ServerResponse): Promise<void> {
  const { status = 200, headers = {}, pieces = [], then = "end" } =
    (scenario.answers.length > 1 ? scenario.answers.shift() : scenario.answers[0]) ?? {};
  response.writeHead(status, { "Cache-Control": "no-store", ...headers });
  response.flushHeaders();
  response.on("close", () => scenario.held.delete(response));
  for (const piece of pieces) {
    if (typeof piece === "number") await new Promise((resolve) => setTimeout(resolve, piece));
    else response.write(Buffer.from(piece, "base64"));
  }
  if (then === "hold") scenario.held.add(response);
  else if (then === "cut") response.destroy();
  else response.end();
}
