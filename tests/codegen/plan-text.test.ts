/** The plans of a few fixed models as text: kernels in order with schedule, groups, buffers and figures. A refactor shows no difference. */
import { test } from 'uvu';
import { compile } from '../../codegen/compile.js';
import { type TargetInfo, wasmTarget, webgpuTarget } from '../../codegen/target.js';
import { GraphBuilder } from '../../ir/builder.js';
import { symbol } from '../../ir/dim.js';
import type { Graph } from '../../ir/graph.js';
import type { PlanStep, SizeExpr } from '../../runtime/plan.js';
import { expectText } from '../support/golden-text.js';
import { mlp } from '../support/mlp.js';
import { conv, nhwc, relu } from '../support/nets.js';
import { lstmStep } from '../support/train-graphs.js';

/** Two convolutions with pooling and a classifier with softmax. */
function cnn(): Graph {
  const b = new GraphBuilder('cnn');
  b.declareSymbol('batch', 32);
  const x = b.input('x', 'float32', [symbol('batch'), 28, 28, 1]);
  const pool = (v: ReturnType<typeof relu>) =>
    b.emit('reduce_window', [v], {
      fn: 'max',
      window: [1, 2, 2, 1],
      strides: [1, 2, 2, 1],
      padding: [
        [0, 0],
        [0, 0],
        [0, 0],
        [0, 0],
      ],
      baseDilation: [1, 1, 1, 1],
      windowDilation: [1, 1, 1, 1],
    });
  const one = b.withOrigin('conv_1', () =>
    pool(relu(b, b.add(conv(b, x, b.stateSlot('conv_1/kernel', 'float32', [3, 3, 1, 16]), nhwc), b.stateSlot('conv_1/bias', 'float32', [16])))),
  );
  const two = b.withOrigin('conv_2', () =>
    pool(relu(b, b.add(conv(b, one, b.stateSlot('conv_2/kernel', 'float32', [3, 3, 16, 32]), nhwc), b.stateSlot('conv_2/bias', 'float32', [32])))),
  );
  const logits = b.withOrigin('dense', () =>
    b.add(b.matmul(b.reshape(two, [-1, 800]), b.stateSlot('dense/kernel', 'float32', [800, 10])), b.stateSlot('dense/bias', 'float32', [10])),
  );
  const e = b.withOrigin('softmax', () => b.exp(b.sub(logits, b.reduce('max', logits, [1], true))));
  b.output(
    'p',
    b.withOrigin('softmax', () => b.div(e, b.sum(e, [1], true))),
  );
  return b.build();
}

function sizeText(e: SizeExpr): string {
  if (typeof e === 'number') return String(e);
  return 'symbol' in e ? e.symbol : `${e.op}(${e.args.map(sizeText).join(', ')})`;
}

function planText(programs: Readonly<Record<string, Graph>>, target: TargetInfo): string {
  const { plan } = compile(programs, { target });
  const lines: string[] = [];
  const write = (steps: readonly PlanStep[], indent: string): void => {
    for (const s of steps) {
      if (s.kind === 'loop') {
        lines.push(`${indent}for ${s.symbol} < ${sizeText(s.count)}${s.reverse ? ', backwards' : ''}`);
        write(s.body, `${indent}  `);
        continue;
      }
      const k = plan.kernels[s.kernel]!;
      lines.push(
        `${indent}${k.name} [${k.workgroupSize.join('x')}] x [${s.groups.map(sizeText).join(', ')}]: ${k.schedule}`,
        `${indent}  ${s.label}; reads and writes ${s.buffers.map((i) => plan.buffers[i]!.name).join(', ')}`,
        `${indent}  ${sizeText(s.figures.flops)} flops, ${sizeText(s.figures.bytesRead)} bytes read, ${sizeText(s.figures.bytesWritten)} written`,
      );
    }
  };
  for (const p of plan.programs) {
    const m = plan.memory[p.name];
    lines.push(`program ${p.name}${m ? `: arena ${m.arena} bytes, sum ${m.sum}, lower bound ${m.lowerBound}` : ''}`);
    if (p.prepare.length > 0) {
      lines.push('  at load');
      write(p.prepare, '    ');
    }
    write(p.steps, '  ');
  }
  return `${lines.join('\n')}\n`;
}

const models: [string, () => Record<string, Graph>][] = [
  ['mlp-train', () => ({ train: mlp.programs().train! })],
  ['cnn-infer', () => ({ predict: cnn() })],
  ['lstm-train', () => ({ train: lstmStep(16, 8, 32) })],
];
for (const [name, programs] of models) {
  for (const target of [webgpuTarget, wasmTarget(2, false)]) {
    test(`the plan of ${name} for ${target.kind}`, () => expectText(`${name}.${target.kind}.txt`, planText(programs(), target)));
  }
}

test.run();
