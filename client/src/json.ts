/** The members of an object of JSON. What they are has to be looked at. */
export type Fields = Readonly<Record<string, unknown>>;

/** The value of a JSON text, or undefined (which JSON cannot say) for a text that is none. */
export function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
