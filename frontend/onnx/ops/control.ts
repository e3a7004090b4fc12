/** If, Loop, Scan, and sequences, which exist at import only. */
import { equalShape } from '../../../ir/dim.js';
import { ShapeError } from '../../../ir/errors.js';
import type { Value } from '../../../ir/graph.js';
import type { NodeContext } from '../context.js';
import { loop, type ScanAttributes, scanOnce } from '../lib/loop.js';
import { graph, type Item, int, isValue, type OpEntry, op, opt, Sequence } from '../registry.js';
import type { GraphProto } from '../schema/types.js';

/** Both branches as sub-graphs with the same operands; null where their results differ in type. */
function bothBranches(c: NodeContext, condition: Value, then: GraphProto, otherwise: GraphProto): Item[] | null {
  const { b } = c;
  const [x, y] = [then, otherwise].map((g) => {
    const scope = c.scope.child(b.child(g.name || 'branch'));
    const outputs = c.importer.lowerBody(g, scope, [], c.where);
    return { scope, outputs };
  }) as [{ scope: typeof c.scope; outputs: Item[] }, { scope: typeof c.scope; outputs: Item[] }];
  const pairs = x.outputs.map((v, i) => [v, y.outputs[i]] as const);
  if (x.outputs.length !== y.outputs.length) c.fail(`its branches have ${x.outputs.length} and ${y.outputs.length} outputs`);
  if (!pairs.every(([v, w]) => isValue(v) && isValue(w) && v.dtype === w.dtype && equalShape(v.shape, w.shape) && !c.padding(v) && !c.padding(w))) return null;
  // Each branch gets what either captures, in one order: the first branch's, then what only the second has.
  const operands = [...new Set([...x.scope.captured, ...y.scope.captured].map((p) => p.outer))];
  const [thenGraph, elseGraph] = [x, y].map(({ scope, outputs }) => {
    const inner = operands.map((o) => scope.capture(o));
    const s = scope.builder;
    for (const [i, v] of outputs.entries()) s.output(`out${i}`, v as Value);
    const g = s.build();
    return { ...g, inputs: inner.map((v) => g.inputs.find((p) => p.value === v)!) };
  });
  const results = [...b.emitAll('if', [b.reshape(condition, []), ...operands], { then: thenGraph!, else: elseGraph! })];
  for (const [i, [v, w]] of pairs.entries()) {
    const small = c.smallType(v as Value);
    if (small !== c.smallType(w as Value)) c.fail(`output ${i} has different element types in its branches`);
    if (small !== undefined) c.ofSmallType(results[i]!, small);
  }
  return results;
}

function branch(c: NodeContext, then: GraphProto, otherwise: GraphProto): Item[] {
  const condition = c.in(0);
  const known = c.known(condition);
  const inline = (value: number): Item[] => c.importer.lowerBody(value ? then : otherwise, c.scope.child(), [], c.where);
  if (known) return inline(Number(known.data[0]));
  const both = c.importer.attempt(() => {
    try {
      return bothBranches(c, condition, then, otherwise);
    } catch (e) {
      // A branch for other shapes (another sampling rate, say) is never taken with these.
      if (e instanceof ShapeError) return null;
      throw e;
    }
  });
  // Branches of different types: the condition must be known to compile.
  return both ?? inline(Number(c.data(condition).data[0]));
}

const position = (c: NodeContext, i: number, n: number, fallback: number): number => {
  const v = c.opt(i);
  const p = v ? c.number(v) : fallback;
  return p < 0 ? p + n : p;
};

export const controlOps: readonly OpEntry[] = [
  op('If', [1, 11, 13, 16, 19, 21, 23, 24, 25], { then_branch: graph(), else_branch: graph() }, (c, a) => branch(c, a.then_branch, a.else_branch)),
  op('Loop', [1, 11, 13, 16, 19, 21, 23, 24, 25], { body: graph() }, (c, a) => loop(c, a.body)),
  op(
    'Scan',
    [8, 9, 11, 16, 19, 21, 23, 24, 25],
    {
      body: graph(),
      num_scan_inputs: int(),
      directions: opt.ints,
      scan_input_axes: opt.ints,
      scan_input_directions: opt.ints,
      scan_output_axes: opt.ints,
      scan_output_directions: opt.ints,
    },
    (c, a) => {
      if (c.version > 8) return scanOnce(c, a, c.all());
      // Opset 8: axis 0 is the batch; each sample is a scan of its own.
      const { b } = c;
      if (c.opt(0)) c.unsupported('sequence lengths of opset 8');
      const inputs = c.inputs.slice(1).map((_, i) => c.in(i + 1));
      const batch = c.size(inputs[0]?.shape[0] ?? 0);
      const one: ScanAttributes = { ...a, scan_input_directions: a.directions, scan_input_axes: null, scan_output_axes: null, scan_output_directions: null };
      const results = Array.from({ length: batch }, (_, k) =>
        scanOnce(
          c,
          one,
          inputs.map((v) => b.squeeze(b.sliceAxis(v, 0, k, k + 1), [0])),
        ),
      );
      return (results[0] ?? []).map((_, i) =>
        b.concat(
          results.map((r) => b.expandDims(r[i]!, 0)),
          0,
        ),
      );
    },
  ),
  op('SequenceConstruct', [11], {}, (c) => new Sequence(c.all())),
  op('SequenceEmpty', [11], { dtype: opt.int }, () => new Sequence([])),
  op('SequenceAt', [11], {}, (c) => {
    const { items } = c.sequence(0);
    return items[position(c, 1, items.length, 0)] ?? c.fail(`position outside of a sequence of ${items.length}`);
  }),
  op('SequenceLength', [11], {}, (c) => c.constant(c.dtype(7), [], [c.sequence(0).items.length])),
  op('SequenceInsert', [11], {}, (c) => {
    const { items } = c.sequence(0);
    const at = position(c, 2, items.length, items.length);
    return new Sequence([...items.slice(0, at), c.in(1), ...items.slice(at)]);
  }),
  op('SequenceErase', [11], {}, (c) => {
    const { items } = c.sequence(0);
    const at = position(c, 1, items.length, items.length - 1);
    return new Sequence(items.filter((_, i) => i !== at));
  }),
  op('ConcatFromSequence', [11], { axis: int(), new_axis: int(0) }, (c, a) => {
    const { items } = c.sequence(0);
    const rank = (items[0]?.shape.length ?? 0) + (a.new_axis ? 1 : 0);
    const axis = c.axis(a.axis, rank);
    return c.b.concat(a.new_axis ? items.map((v) => c.b.expandDims(v, axis)) : items, axis);
  }),
  op('SplitToSequence', [11, 24], { axis: int(0), keepdims: int(1) }, (c, a) => {
    const { b } = c;
    const x = c.in(0);
    const axis = c.axis(a.axis, x.shape.length);
    const size = c.size(x.shape[axis]!);
    const split = c.opt(1);
    const given = split ? c.numbers(split) : null;
    const scalar = given !== null && split!.shape.length === 0;
    const part = scalar ? given[0]! : 1;
    const sizes = given && !scalar ? given : Array.from({ length: c.countable(Math.ceil(size / part)) }, (_, i) => Math.min(part, size - i * part));
    let at = 0;
    return new Sequence(
      sizes.map((n) => {
        const y = b.sliceAxis(x, axis, at, at + n);
        at += n;
        return given === null && !a.keepdims ? b.squeeze(y, [axis]) : y;
      }),
    );
  }),
  op('SequenceMap', [17], { body: graph() }, (c, a) => {
    const first = c.sequence(0);
    const rows = first.items.map((v, i) =>
      c.importer.lowerBody(
        a.body,
        c.scope.child(),
        [v, ...c.inputs.slice(1).map((_, k) => (c.item(k + 1) instanceof Sequence ? c.sequence(k + 1).items[i]! : c.item(k + 1)))],
        c.where,
      ),
    );
    return Array.from({ length: c.outputCount }, (_, k) => new Sequence(rows.map((r) => (isValue(r[k]) ? r[k] : c.unsupported('a sequence of sequences')))));
  }),
];
