/** What a plan is made of and what a run of its programs costs, as data and as text. Figures are at the symbols' largest values. */
import { typeToString } from '../ir/graph.js';
import type { Region } from '../passes/regions.js';
import { type CompiledPlan, evalSize, type PlanStep, type PlanTensor, type SizeExpr } from '../runtime/plan.js';
import { storedBytesOf } from '../runtime/storage.js';
import { bold, bytesText, countText, dim, table } from './io.js';

export interface StepReport {
  readonly kernel: string;
  readonly label: string;
  readonly schedule: string;
  readonly groups: string;
  /** How often it runs in one run of the program. */
  readonly times: number;
  readonly flops: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
}

export interface ProgramReport {
  readonly name: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly prepare: readonly StepReport[];
  readonly steps: readonly StepReport[];
  /** Of one run, prepare steps aside. */
  readonly dispatches: number;
  readonly pipelines: number;
  readonly flops: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  readonly arena: number;
  readonly sum: number;
  readonly lowerBound: number;
}

export interface PlanReport {
  readonly name: string;
  readonly target: string;
  readonly symbols: Readonly<Record<string, number>>;
  readonly state: readonly {
    readonly name: string;
    readonly type: string;
    readonly bytes: number;
    readonly trainable: boolean;
    readonly parts: readonly string[];
  }[];
  readonly programs: readonly ProgramReport[];
  readonly constantBytes: number;
  /** Code: WGSL characters or bytes of the WebAssembly module. */
  readonly codeBytes: number;
}

/** What one kernel (or a few) computes. */
export interface RegionReport {
  readonly kind: string;
  /** Where its nodes come from, such as layers. */
  readonly origins: readonly string[];
  /** Names of its ops in order; repeated ones are counted. */
  readonly ops: readonly string[];
  readonly outputs: readonly string[];
}

export function regionReport(r: Region): RegionReport {
  const counts = new Map<string, number>();
  for (const n of r.nodes) {
    const name = 'fn' in n.attrs && typeof n.attrs.fn === 'string' ? n.attrs.fn : n.op;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return {
    kind: r.kind,
    origins: [...new Set(r.nodes.map((n) => n.origin).filter((o) => o !== ''))],
    ops: [...counts].map(([n, c]) => (c > 1 ? `${n} x${c}` : n)),
    outputs: r.outputs.map(typeToString),
  };
}

export function sizeText(e: SizeExpr): string {
  if (typeof e === 'number') return String(e);
  if ('symbol' in e) return e.symbol;
  const [a, b] = [sizeText(e.args[0]), sizeText(e.args[1])];
  const infix = { add: '+', sub: '-', mul: '*', floordiv: '/', mod: '%' } as const;
  return e.op in infix ? `(${a}${infix[e.op as keyof typeof infix]}${b})` : `${e.op}(${a},${b})`;
}

const typeText = (t: PlanTensor): string => `${t.name} ${t.dtype}[${t.shape.map(sizeText).join(',')}]`;

function stepReports(compiled: CompiledPlan, steps: readonly PlanStep[], symbols: Readonly<Record<string, number>>, into: Map<PlanStep, StepReport>): void {
  for (const s of steps) {
    if (s.kind === 'loop') {
      const count = evalSize(s.count, symbols);
      for (let i = 0; i < count; i++) stepReports(compiled, s.body, { ...symbols, [s.symbol]: s.reverse ? count - 1 - i : i }, into);
      continue;
    }
    const kernel = compiled.plan.kernels[s.kernel]!;
    const old = into.get(s);
    into.set(s, {
      kernel: kernel.name,
      label: s.label,
      schedule: kernel.schedule,
      groups: s.groups.map(sizeText).join(' x '),
      times: (old?.times ?? 0) + 1,
      flops: (old?.flops ?? 0) + evalSize(s.figures.flops, symbols),
      bytesRead: (old?.bytesRead ?? 0) + evalSize(s.figures.bytesRead, symbols),
      bytesWritten: (old?.bytesWritten ?? 0) + evalSize(s.figures.bytesWritten, symbols),
    });
  }
}

export function planReport(compiled: CompiledPlan): PlanReport {
  const { plan } = compiled;
  const symbols = Object.fromEntries(plan.symbols.map((s) => [s.name, s.max]));
  const programs = plan.programs.map((p): ProgramReport => {
    const [prepare, steps] = [p.prepare, p.steps].map((list) => {
      const found = new Map<PlanStep, StepReport>();
      stepReports(compiled, list, symbols, found);
      return [...found.values()];
    }) as [StepReport[], StepReport[]];
    const total = (f: (s: StepReport) => number) => steps.reduce((a, s) => a + f(s), 0);
    const memory = plan.memory[p.name] ?? { arena: 0, sum: 0, lowerBound: 0 };
    const code = new Map(plan.kernels.map((k) => [k.name, k.code]));
    return {
      name: p.name,
      inputs: p.inputs.map((i) => `${typeText(i)}${i.resident ? ' resident' : ''}`),
      outputs: p.outputs.map(typeText),
      prepare,
      steps,
      dispatches: total((s) => s.times),
      pipelines: new Set(steps.map((s) => code.get(s.kernel))).size,
      flops: total((s) => s.flops),
      bytesRead: total((s) => s.bytesRead),
      bytesWritten: total((s) => s.bytesWritten),
      ...memory,
    };
  });
  const state = plan.state.map((s) => ({
    name: s.name,
    type: `${s.dtype}[${s.shape.join(',')}]`,
    bytes: s.shape.reduce((a, d) => a * d, storedBytesOf(s)),
    trainable: s.trainable,
    parts: s.views.map((v) => `${v.name} [${v.shape.join(',')}]`),
  }));
  const constantBytes = plan.buffers.filter((b) => b.kind === 'constant').reduce((a, b) => a + b.bytes, 0);
  const codeBytes = compiled.wasm?.byteLength ?? compiled.wgsl.reduce((a, t) => a + t.length, 0);
  return { name: plan.name, target: plan.target, symbols, state, programs, constantBytes, codeBytes };
}

/** Lists of names are cut to this many characters. */
const widest = 72;
const cut = (names: readonly string[]): string => {
  const text = names.join(', ');
  return text.length <= widest ? text : `${text.slice(0, widest - 3)}...`;
};

/** `graphs`: printed graphs by program, shown before its kernels; `regions` by program, those of prepare steps under `<program>/prepare`. */
export function* reportText(
  r: PlanReport,
  graphs: Readonly<Record<string, string>>,
  regions: Readonly<Record<string, readonly RegionReport[]>>,
): Generator<string> {
  yield `${bold(r.name)} for ${r.target}, code ${bytesText(r.codeBytes)}, constants ${bytesText(r.constantBytes)}${
    Object.keys(r.symbols).length > 0
      ? `; figures at ${Object.entries(r.symbols)
          .map(([n, v]) => `${n}=${v}`)
          .join(', ')}`
      : ''
  }`;
  if (r.state.length > 0) {
    yield '';
    yield bold('state');
    yield* table(
      r.state.map((s) => [`  ${s.name}`, s.type, bytesText(s.bytes), s.trainable ? 'trainable' : '', s.parts.join(', ')]),
      [2],
    );
  }
  for (const p of r.programs) {
    yield '';
    yield bold(`program ${p.name}`);
    for (const i of p.inputs) yield `  in   ${i}`;
    for (const o of p.outputs) yield `  out  ${o}`;
    if (graphs[p.name] !== undefined)
      yield* graphs[p.name]!.trimEnd()
        .split('\n')
        .map((line) => `  ${line}`);
    const grouped = [...(regions[`${p.name}/prepare`] ?? []).map((x) => ({ ...x, kind: `prepare ${x.kind}` })), ...(regions[p.name] ?? [])];
    if (grouped.length > 0)
      yield* table([['  region', 'layers', 'ops', 'results'], ...grouped.map((x) => [`  ${x.kind}`, cut(x.origins), cut(x.ops), cut(x.outputs)])]);
    const row = (s: StepReport, i: number, mark: string) => [
      `  ${mark}${i + 1}`,
      s.kernel,
      s.times > 1 ? `${s.times} times` : '',
      s.groups,
      countText(s.flops),
      bytesText(s.bytesRead),
      bytesText(s.bytesWritten),
      dim(s.schedule),
    ];
    const head = ['  #', 'kernel', '', 'groups', 'flops', 'read', 'written', 'schedule'];
    yield* table([head, ...p.prepare.map((s, i) => row(s, i, 'prepare ')), ...p.steps.map((s, i) => row(s, i, ''))], [4, 5, 6]);
    yield `  a run: ${p.dispatches} dispatches of ${p.pipelines} pipelines, ${countText(p.flops)}flop, ${bytesText(p.bytesRead)} read, ${bytesText(p.bytesWritten)} written`;
    yield `  intermediates: arena ${bytesText(p.arena)}, all together ${bytesText(p.sum)}, lower bound ${bytesText(p.lowerBound)}`;
  }
}
