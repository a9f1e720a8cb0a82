import { bad } from "./error.js";

/** The most that one line or one event may hold, in UTF-16 units, before the stream is given up. */
export const MAX_EVENT = 4 * 1024 * 1024;

/**
 * Returns what reads a stream of server-sent events (HTML Standard §9.2.6), given its bytes in chunks that may be cut
 * anywhere. An event that the stream does not finish is dropped. `id` is ignored: a stream of Pillbox begins with the
 * whole state, so nothing has to be made up for.
 */
export function reader(event: (type: string, data: string) => void, retry: (ms: number) => void): (chunk: Uint8Array) => void {
  const decoder = new TextDecoder(); // it also drops a byte order mark
  let rest = ""; // of a line whose end has not come
  let afterCR = false;
  let type = "";
  let data = "";

  const take = (line: string) => {
    if (!line) {
      if (data) event(type || "message", data.slice(0, -1));
      type = data = "";
      return;
    }
    const [, field, value = ""] = /^([^:]*)(?:: ?([^]*))?$/.exec(line)!;
    if (field === "event") type = value;
    else if (field === "data") data += `${value}\n`;
    else if (field === "retry" && /^\d+$/.test(value)) retry(+value);
  };

  return (chunk) => {
    let text = decoder.decode(chunk, { stream: true });
    if (!text) return;
    if (afterCR && text[0] === "\n") text = text.slice(1);
    let from = 0;
    for (const end of text.matchAll(/\r\n?|\n/g)) {
      take(rest + text.slice(from, end.index));
      rest = "";
      from = end.index + end[0].length;
    }
    afterCR = text.endsWith("\r");
    rest += text.slice(from);
    if (rest.length + data.length > MAX_EVENT) {
      throw bad(200, "too large");
    }
  };
}
