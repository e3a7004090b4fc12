/**
 * Common subexpressions: two nodes with the same op, attributes and inputs are one. All ops are pure, random bits too (they are a function of their key).
 * One sweep in order finds all, since the inputs of a node are numbered before it. The node that comes first stays.
 */
import { AffineDim } from '../ir/dim.js';
import type { Graph, Node, Value } from '../ir/graph.js';
import type { OpAttrs, OpName } from '../ir/op-attrs.js';
import { mapSubgraphs, rebuild } from '../ir/transform.js';

/** Constants up to this many elements are compared by contents, larger ones by identity. */
const byContents = 64;

const identities = new WeakMap<object, number>();
let identityCount = 0;

function identity(o: object): string {
  const i = identities.get(o) ?? identityCount++;
  identities.set(o, i);
  return `#${i}`;
}

function text(x: unknown): string {
  if (typeof x === 'number') return Object.is(x, -0) ? '-0' : String(x);
  if (typeof x === 'string') return JSON.stringify(x);
  if (typeof x !== 'object' || x === null) return String(x);
  if (x instanceof AffineDim) return x.toString();
  if (Array.isArray(x)) return `[${x.map(text).join()}]`;
  if (ArrayBuffer.isView(x)) {
    const a = x as unknown as ArrayLike<number>;
    return a.length <= byContents ? text(Array.from(a)) : identity(x);
  }
  if ('nodes' in x) return identity(x);
  return `{${Object.keys(x)
    .sort()
    .map((k) => `${k}:${text((x as Record<string, unknown>)[k])}`)
    .join()}}`;
}

/** A text that is equal for equal nodes. */
export function nodeKey<K extends OpName>(op: K, inputs: readonly Value[], attrs: OpAttrs[K]): string {
  let key: string = op;
  for (const v of inputs) key += ` ${v.id}`;
  return `${key} ${text(attrs)}`;
}

export function cse(graph: Graph): Graph {
  const seen = new Map<string, readonly Value[]>();
  return rebuild(graph, (node: Node, r) => {
    const attrs = mapSubgraphs(node, cse) ?? node.attrs;
    const key = nodeKey(node.op, r.all(node.inputs), attrs);
    const old = seen.get(key);
    if (old) r.setAll(node, old);
    else {
      r.copy(node, attrs);
      seen.set(
        key,
        node.outputs.map((o) => r.value(o)),
      );
    }
    return true;
  });
}
