/**
 * Reverse-mode differentiation, graph to graph. Values that depend on a wanted value are marked going forward; going backward, each marked node that
 * has a cotangent asks its op's rule for the cotangents of its inputs. Contributions to one value are added where the value was made. Nodes of the
 * gradient carry the origin of the forward node. Only the path between the seeds and the wanted values is visited.
 */
import type { GraphBuilder } from './builder.js';
import { dependents, type Seed, sumAll } from './cotangents.js';
import { equalShape, shapeToString } from './dim.js';
import { isFloat } from './dtype.js';
import { InternalError, ShapeError, UnsupportedError, ValueError } from './errors.js';
import { type Node, type NodeOf, typeToString, type Value } from './graph.js';
import type { FusionKind } from './op.js';
import type { OpName } from './op-attrs.js';
import { opDef } from './ops/index.js';

/**
 * Gradients of a scalar loss (or of several values with given cotangents) with respect to `wrt`, as new nodes in `b`. Each result has its value's type. Where
 * a value has no influence the result is zeros, or null with `missing: 'null'`. Throws ShapeError for a loss that is no float scalar, ValueError for a `wrt`
 * that is not a float, UnsupportedError where an op on the way has no gradient.
 */
export function gradients(b: GraphBuilder, loss: Value | readonly Seed[], wrt: readonly Value[], options?: { missing?: 'zeros' }): Value[];
export function gradients(b: GraphBuilder, loss: Value | readonly Seed[], wrt: readonly Value[], options: { missing: 'null' }): (Value | null)[];
export function gradients(
  b: GraphBuilder,
  loss: Value | readonly Seed[],
  wrt: readonly Value[],
  options: { missing?: 'zeros' | 'null' } = {},
): (Value | null)[] {
  for (const v of wrt)
    if (!isFloat(v.dtype)) throw new ValueError(`gradients: no gradient with respect to ${nameOf(v)}, it is ${typeToString(v)}; only floats have gradients`);
  const seeds = isSeeds(loss) ? loss : [unitSeed(b, loss)];
  for (const s of seeds) checkCotangent('gradients', s.value, s.cotangent);
  const found = pullback(b, [...b.nodes], seeds, wrt).map((list) => sumAll(b, list));
  return options.missing === 'null' ? found : found.map((g, i) => g ?? b.full(wrt[i]!.shape, 0, wrt[i]!.dtype));
}

const isSeeds = (loss: Value | readonly Seed[]): loss is readonly Seed[] => Array.isArray(loss);

function unitSeed(b: GraphBuilder, loss: Value): Seed {
  if (loss.shape.length !== 0 || !isFloat(loss.dtype))
    throw new ShapeError(`gradients: the loss must be a float scalar, found ${typeToString(loss)}; reduce it, or give a cotangent`);
  return { value: loss, cotangent: b.scalar(1, loss.dtype) };
}

const nameOf = (v: Value): string => (v.producer ? `%${v.id} (${v.producer.op}${v.producer.origin ? ` of ${v.producer.origin}` : ''})` : `%${v.id}`);

function checkCotangent(where: string, value: Value, cotangent: Value): void {
  if (value.dtype !== cotangent.dtype || !equalShape(value.shape, cotangent.shape)) {
    throw new InternalError(
      `${where}: the cotangent of ${nameOf(value)} is ${cotangent.dtype}${shapeToString(cotangent.shape)}, expected ${typeToString(value)}`,
    );
  }
}

/**
 * The part of `gradients` that control flow shares: differentiates `nodes` (in topological order) alone, and gives for each wanted value the contributions
 * to its cotangent, not added up. A wanted value may be listed once only.
 */
function pullback(b: GraphBuilder, nodes: readonly Node[], seeds: readonly Seed[], wanted: readonly Value[]): Value[][] {
  const depends = dependents(nodes, wanted);
  const cotangents = new Map<Value, Value[]>();
  const add = (value: Value, cotangent: Value): void => {
    const list = cotangents.get(value);
    if (list) list.push(cotangent);
    else cotangents.set(value, [cotangent]);
  };
  const isWanted = new Set(wanted);
  for (const s of seeds) if (depends.has(s.value)) add(s.value, s.cotangent);
  for (let i = nodes.length - 1; i >= 0; i--) {
    const node = nodes[i]!;
    if (!node.outputs.some((o) => cotangents.has(o)) || !node.inputs.some((v) => depends.has(v))) continue;
    b.withExactOrigin(node.origin, () => {
      const grads = node.outputs.map((o) => {
        const total = sumAll(b, cotangents.get(o) ?? []);
        if (total && isWanted.has(o)) cotangents.set(o, [total]);
        return total;
      });
      const flows = inputCotangents(
        b,
        node,
        grads,
        node.inputs.map((v) => depends.has(v)),
      );
      for (const [k, flow] of flows.entries()) {
        const input = node.inputs[k]!;
        if (!flow || !depends.has(input)) continue;
        checkCotangent(node.op, input, flow);
        add(input, flow);
      }
    });
  }
  return wanted.map((v) => cotangents.get(v) ?? []);
}

function inputCotangents<K extends OpName>(
  b: GraphBuilder,
  node: NodeOf<K>,
  grads: readonly (Value | null)[],
  wanted: readonly boolean[],
): readonly (Value | null)[] {
  const rule = opDef(node.op).gradient;
  if (typeof rule !== 'function') throw new UnsupportedError(`${node.origin ? `${node.origin}: ` : ''}${node.op} has no gradient: ${rule.none}`);
  return rule({ b, node, grads, wanted, pullback, kindOf });
}

function kindOf<K extends OpName>(node: NodeOf<K>): FusionKind {
  const { kind } = opDef(node.op);
  return typeof kind === 'function' ? kind(node) : kind;
}
