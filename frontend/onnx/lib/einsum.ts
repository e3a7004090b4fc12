/** Einsum: letters to axes; pairs of operands are contracted by general dots, from the left. */
import { equalDim } from '../../../ir/dim.js';
import type { Value } from '../../../ir/graph.js';
import type { NodeContext } from '../context.js';

interface Labelled {
  readonly value: Value;
  readonly labels: readonly string[];
}

/** One label per axis: repeated labels become a diagonal. */
function diagonal(c: NodeContext, x: Labelled): Labelled {
  const { b } = c;
  let { value, labels } = x;
  for (;;) {
    const at = labels.findIndex((l, i) => labels.indexOf(l) !== i);
    if (at < 0) return { value, labels };
    const first = labels.indexOf(labels[at]!);
    const on = b.compare('eq', b.iota(value.shape, first), b.iota(value.shape, at));
    value = b.sum(b.select(on, value, 0), [at]);
    labels = labels.filter((_, i) => i !== at);
  }
}

function sumOut(c: NodeContext, x: Labelled, keep: ReadonlySet<string>): Labelled {
  const axes = x.labels.flatMap((l, i) => (keep.has(l) ? [] : [i]));
  return axes.length === 0 ? x : { value: c.b.sum(x.value, axes), labels: x.labels.filter((l) => keep.has(l)) };
}

function contract(c: NodeContext, x: Labelled, y: Labelled, keep: ReadonlySet<string>): Labelled {
  const { b } = c;
  const shared = x.labels.filter((l) => y.labels.includes(l));
  // Axes of size 1 broadcast: they are dropped where the other operand has more.
  const fit = (u: Labelled, v: Labelled): Labelled => {
    const drop = u.labels.flatMap((l, i) => (v.labels.includes(l) && u.value.shape[i] === 1 && v.value.shape[v.labels.indexOf(l)] !== 1 ? [i] : []));
    return drop.length === 0 ? u : { value: b.squeeze(u.value, drop), labels: u.labels.filter((_, i) => !drop.includes(i)) };
  };
  const [l, r] = [fit(x, y), fit(y, x)];
  const common = shared.filter((s) => l.labels.includes(s) && r.labels.includes(s));
  const batch = common.filter((s) => keep.has(s));
  const inner = common.filter((s) => !keep.has(s));
  for (const s of common) {
    const [dl, dr] = [l.value.shape[l.labels.indexOf(s)]!, r.value.shape[r.labels.indexOf(s)]!];
    if (!equalDim(dl, dr)) c.failShape(`label '${s}' stands for sizes ${dl} and ${dr}`);
  }
  const value = b.dot(l.value, r.value, {
    batchLeft: batch.map((s) => l.labels.indexOf(s)),
    batchRight: batch.map((s) => r.labels.indexOf(s)),
    contractLeft: inner.map((s) => l.labels.indexOf(s)),
    contractRight: inner.map((s) => r.labels.indexOf(s)),
  });
  const free = (u: Labelled): string[] => u.labels.filter((s) => !common.includes(s));
  return { value, labels: [...batch, ...free(l), ...free(r)] };
}

export function einsum(c: NodeContext, equation: string, operands: readonly Value[]): Value {
  const { b } = c;
  const text = equation.replaceAll(' ', '');
  const [left, right] = text.split('->') as [string, string | undefined];
  const terms = left.split(',');
  if (terms.length !== operands.length) c.fail(`equation '${equation}' has ${terms.length} terms for ${operands.length} inputs`);
  // The axes of an ellipsis are labelled from the last: #0 is the last one.
  let widest = 0;
  const labelled = terms.map((term, i): Labelled => {
    const value = operands[i]!;
    const letters = term.replace('...', '');
    if (!/^[A-Za-z]*$/.test(letters)) c.fail(`equation '${equation}' is not of letters, commas and ellipses`);
    const extra = value.shape.length - letters.length;
    if (extra < 0 || (extra > 0 && !term.includes('...'))) c.failShape(`term '${term}' for an input of rank ${value.shape.length}`);
    widest = Math.max(widest, extra);
    const dots = Array.from({ length: extra }, (_, k) => `#${extra - 1 - k}`);
    const at = term.indexOf('...');
    const labels = at < 0 ? [...letters] : [...term.slice(0, at), ...dots, ...term.slice(at + 3)];
    return diagonal(c, { value, labels });
  });
  const dots = Array.from({ length: widest }, (_, k) => `#${widest - 1 - k}`);
  let output: string[];
  if (right === undefined) {
    const letters = [...left.replace(/[.,]/g, '')];
    output = [...dots, ...letters.filter((l) => letters.indexOf(l) === letters.lastIndexOf(l)).sort()];
  } else {
    const at = right.indexOf('...');
    output = at < 0 ? [...right] : [...right.slice(0, at), ...dots, ...right.slice(at + 3)];
  }
  let acc = labelled[0]!;
  for (let i = 1; i < labelled.length; i++) {
    const later = new Set([...output, ...labelled.slice(i + 1).flatMap((x) => x.labels)]);
    const next = labelled[i]!;
    // What only one operand has and nobody needs is summed before.
    acc = sumOut(c, acc, new Set([...later, ...next.labels]));
    acc = contract(c, acc, sumOut(c, next, new Set([...later, ...acc.labels])), later);
  }
  acc = sumOut(c, acc, new Set(output));
  const missing = output.find((l) => !acc.labels.includes(l));
  if (missing) c.fail(`equation '${equation}': output label '${missing}' is not in the inputs`);
  return b.transpose(
    acc.value,
    output.map((l) => acc.labels.indexOf(l)),
  );
}
