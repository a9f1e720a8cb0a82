/** How a pill is drawn. Shape and colour both differ, so that colour alone tells nothing. */
export interface Look {
  readonly shape: "capsule" | "caplet" | "round";
  /** 0 to 7: a pair of colours in tokens.css. */
  readonly hue: number;
}

/** What the pharmacy offers to pick. Any other name can be written. */
export const medicines: readonly string[] = ["Ibuprofen", "Paracetamol", "Amoxicillin", "Cetirizine", "Omeprazole", "Vitamin D"];

const looks: Readonly<Record<string, Look>> = {
  ibuprofen: { shape: "capsule", hue: 0 },
  paracetamol: { shape: "caplet", hue: 1 },
  amoxicillin: { shape: "capsule", hue: 2 },
  cetirizine: { shape: "round", hue: 3 },
  omeprazole: { shape: "capsule", hue: 4 },
  "vitamin d": { shape: "round", hue: 5 },
};

const shapes = ["capsule", "caplet", "round"] as const;

/** The look of a medicine: always the same for the same name. */
export function lookOf(name: string): Look {
  const key = name.trim().toLowerCase();
  const known = Object.hasOwn(looks, key) ? looks[key] : undefined;
  if (known) return known;
  let hash = 2166136261; // FNV-1a
  for (const char of key) hash = Math.imul(hash ^ char.codePointAt(0)!, 16777619) >>> 0;
  return { shape: shapes[hash % 3]!, hue: (hash >>> 8) % 8 };
}
