/** JSON and YAML from files, as plain data: no tags that make objects, a limit on aliases, depth and size; prototypes are out of reach. */
import { ModelFormatError } from '../../ir/errors.js';

const maxDepth = 200;
const mostValues = 5_000_000;
interface Budget {
  left: number;
}

function enter(what: string, budget: Budget, depth: number): void {
  if (depth > maxDepth) throw new ModelFormatError(`${what}: is nested more than ${maxDepth} deep`);
  if (--budget.left < 0) throw new ModelFormatError(`${what}: has too many values (aliases count as often as they are used)`);
}
function checkKey(what: string, key: unknown): void {
  if (key === '__proto__' || key === 'constructor' || key === 'prototype') throw new ModelFormatError(`${what}: the key '${key}' is not allowed`);
}

/** Checks what JSON.parse made, which is plain data but for the keys. */
function check(what: string, x: unknown, budget: Budget, depth = 0): void {
  enter(what, budget, depth);
  if (typeof x !== 'object' || x === null) return;
  if (Array.isArray(x)) {
    for (const v of x) check(what, v, budget, depth + 1);
    return;
  }
  for (const key of Object.keys(x)) {
    checkKey(what, key);
    check(what, (x as Readonly<Record<string, unknown>>)[key], budget, depth + 1);
  }
}

/** Plain data, whose objects have the plain prototype and own keys only. Throws where it is nested too deeply, has too much, or repeats itself in a circle. */
function plain(what: string, x: unknown, budget: Budget, depth = 0): unknown {
  enter(what, budget, depth);
  if (Array.isArray(x)) return x.map((v) => plain(what, v, budget, depth + 1));
  if (typeof x === 'bigint') return Number(x);
  if (typeof x !== 'object' || x === null) return x;
  const entries = x instanceof Map ? [...x.entries()] : Object.entries(x);
  const out: Record<string, unknown> = {};
  for (const [key, value] of entries) {
    checkKey(what, key);
    out[String(key)] = plain(what, value, budget, depth + 1);
  }
  return out;
}

/** Parses JSON in UTF-8. */
export function parseJson(what: string, bytes: Uint8Array | string): unknown {
  let value: unknown;
  try {
    const text = typeof bytes === 'string' ? bytes : new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    value = JSON.parse(text);
  } catch (e) {
    throw new ModelFormatError(`${what}: is not JSON in UTF-8: ${e instanceof Error ? e.message : String(e)}`);
  }
  check(what, value, { left: mostValues });
  return value;
}

/** Parses YAML 1.2 as plain data. `!!python/tuple`, which old Keras wrote, is a list; any other tag of a language is an error. */
export async function parseYaml(what: string, bytes: Uint8Array | string): Promise<unknown> {
  const { parseDocument } = await import('yaml');
  const text = typeof bytes === 'string' ? bytes : new TextDecoder().decode(bytes);
  const tuple = { tag: 'tag:yaml.org,2002:python/tuple', collection: 'seq' as const, resolve: (seq: unknown) => seq };
  try {
    const document = parseDocument(text, { schema: 'core', customTags: (tags) => [...tags, tuple as never], logLevel: 'silent', uniqueKeys: true });
    const fault = document.errors[0] ?? document.warnings[0];
    if (fault) throw new ModelFormatError(`${what}: ${fault.message.split('\n')[0]}`);
    return plain(what, document.toJS({ maxAliasCount: 100, mapAsMap: true }), { left: mostValues });
  } catch (e) {
    if (e instanceof ModelFormatError) throw e;
    throw new ModelFormatError(`${what}: is not YAML: ${e instanceof Error ? e.message : String(e)}`);
  }
}

/** Plain data as YAML, as PyYAML reads it. */
export async function writeYaml(value: unknown): Promise<string> {
  const { stringify } = await import('yaml');
  return stringify(value, { version: '1.1', aliasDuplicateObjects: false, lineWidth: 0 });
}
