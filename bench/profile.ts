/**
 * Per-kernel times on WASM: npm run profile -- WORKLOAD[,WORKLOAD] [--threads 2] [--relaxed] [--ms 40] [--top 20]. Every step of the workload's program (a loop counts as one) becomes a program of
 * its own in a copy of the plan; each is run alone many times on the memory that a whole run left, and the best time is kept. Data is hot in the caches as far as it fits.
 */
import { parseArgs } from 'node:util';
import { compile } from '../codegen/compile.js';
import { wasmTarget } from '../codegen/target.js';
import type { HostArray } from '../runtime/device.js';
import { type CompiledPlan, evalSize, type PlanStep, type SizeExpr } from '../runtime/plan.js';
import { openWasmDevice } from '../runtime/wasm/device.js';
import { graphOf } from './figures.js';
import { elements, uniform, workloads } from './workloads.js';

/** Tries of each kernel. */
const rounds = 20;

interface Line {
  readonly name: string;
  readonly schedule: string;
  readonly parallel: boolean;
  readonly ms: number;
  readonly flops: number;
  readonly bytes: number;
}

const sizes = (dims: readonly SizeExpr[], symbols: Readonly<Record<string, number>>): number[] => dims.map((d) => evalSize(d, symbols));

/** Figures of a step; a loop's are those of all its iterations. */
function figures(step: PlanStep, symbols: Readonly<Record<string, number>>): { flops: number; bytes: number } {
  if (step.kind === 'dispatch')
    return { flops: evalSize(step.figures.flops, symbols), bytes: evalSize(step.figures.bytesRead, symbols) + evalSize(step.figures.bytesWritten, symbols) };
  const total = { flops: 0, bytes: 0 };
  const count = evalSize(step.count, symbols);
  for (let i = 0; i < count; i++) {
    for (const s of step.body) {
      const f = figures(s, { ...symbols, [step.symbol]: i });
      total.flops += f.flops;
      total.bytes += f.bytes;
    }
  }
  return total;
}

const some = (dtype: string, n: number, seed: number, positive: boolean): HostArray => {
  if (dtype === 'float32') return positive ? uniform(n, seed, 0.5).map((v) => v + 1) : uniform(n, seed, 0.05);
  if (dtype === 'int32') return Int32Array.from({ length: n }, (_, i) => i);
  return new Uint32Array(n);
};

export async function profile(
  id: string,
  options: { readonly threads: number; readonly relaxed: boolean; readonly ms: number },
): Promise<{ compileMs: number; whole: number; lines: Line[] }> {
  const w = workloads.find((x) => x.id === id);
  if (!w) throw new Error(`no workload is called '${id}'; there are ${workloads.map((x) => x.id).join(', ')}`);
  const { program, graph } = graphOf(w);
  const started = performance.now();
  const compiled = compile({ [program]: graph }, { target: wasmTarget(options.threads, options.relaxed), name: w.id });
  const compileMs = performance.now() - started;
  const symbols = Object.fromEntries(compiled.plan.symbols.map((s) => [s.name, s.name === 'batch' ? w.batch : s.max]));
  const whole = compiled.plan.programs.find((p) => p.name === program)!;
  const pieces = whole.steps.map((s, i) => ({ name: `step ${i}`, inputs: whole.inputs.filter((x) => x.resident), outputs: [], prepare: [], steps: [s] }));
  const wide: CompiledPlan = {
    ...compiled,
    plan: {
      ...compiled.plan,
      programs: [...compiled.plan.programs, ...pieces],
      memory: { ...compiled.plan.memory, ...Object.fromEntries(pieces.map((p) => [p.name, compiled.plan.memory[program]!])) },
    },
  };
  const device = await openWasmDevice({ threads: options.threads, relaxedSimd: options.relaxed ? 'auto' : 'off' });
  const session = device.createSession();
  const plan = await session.load(wide);
  compiled.plan.state.forEach((s, i) => {
    if (s.dtype === 'float32') session.writeState(s.name, some(s.dtype, elements(s.shape), i + 1, /variance/.test(s.name)));
  });
  const inputs: Record<string, HostArray> = {};
  const resident: Record<string, ReturnType<typeof session.upload>> = {};
  for (const i of whole.inputs) {
    const shape = sizes(i.shape, symbols);
    const data = some(i.dtype, elements(shape), 99, false);
    if (i.resident) resident[i.name] = session.upload(i.dtype, shape, data);
    else inputs[i.name] = data;
  }
  const time = (name: string, given: Record<string, HostArray>, repeat: number): number => {
    const t = performance.now();
    plan.run(name, { symbols, inputs: given, resident, repeat });
    return (performance.now() - t) / repeat;
  };
  // the engine first runs unoptimized code: warm up
  for (const until = performance.now() + 300; performance.now() < until; ) time(program, inputs, 1);
  const all = [{ name: program, given: inputs }, ...pieces.map((p) => ({ name: p.name, given: {} }))].map((p) => {
    time(p.name, p.given, 1);
    return { ...p, repeat: Math.max(1, Math.min(10000, Math.round(options.ms / rounds / time(p.name, p.given, 1)))), best: Number.POSITIVE_INFINITY };
  });
  // In turns, so that a moment in which other programs run spoils one try of each and not all of one.
  for (let round = 0; round < rounds; round++) for (const p of all) p.best = Math.min(p.best, time(p.name, p.given, p.repeat));
  const lines = whole.steps.map((s, i): Line => {
    const kernel = s.kind === 'dispatch' ? compiled.plan.kernels[s.kernel]! : null;
    return {
      name: kernel?.name ?? 'loop',
      schedule: kernel?.schedule ?? '',
      parallel: s.kind === 'dispatch' && (s.parallel || s.phase !== undefined),
      ms: all[i + 1]!.best,
      ...figures(s, symbols),
    };
  });
  const total = all[0]!.best;
  session.dispose();
  device.dispose();
  return { compileMs, whole: total, lines };
}

async function main(): Promise<void> {
  const { values: args, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      threads: { type: 'string', default: '2' },
      relaxed: { type: 'boolean', default: false },
      ms: { type: 'string', default: '40' },
      top: { type: 'string', default: '1000' },
    },
  });
  const chosen = workloads.filter(
    (w) =>
      positionals.length === 0 ||
      positionals
        .join(',')
        .split(',')
        .some((p) => w.id.startsWith(p)),
  );
  for (const w of chosen) {
    const r = await profile(w.id, { threads: Number(args.threads), relaxed: args.relaxed, ms: Number(args.ms) });
    const sum = r.lines.reduce((a, l) => a + l.ms, 0);
    console.log(`${w.id}: ${r.whole.toFixed(3)} ms a run, ${sum.toFixed(3)} ms in ${r.lines.length} kernels alone; compiled in ${r.compileMs.toFixed(0)} ms`);
    const sorted = [...r.lines].sort((a, b) => b.ms - a.ms).slice(0, Number(args.top));
    for (const l of sorted) {
      console.log(
        `  ${l.ms.toFixed(4).padStart(9)} ms ${((100 * l.ms) / sum).toFixed(1).padStart(5)} % ${(l.flops / l.ms / 1e6).toFixed(1).padStart(6)} GFLOP/s ${(l.bytes / l.ms / 1e6).toFixed(1).padStart(6)} GB/s ${l.parallel ? 'split' : '     '} ${l.name}: ${l.schedule}`,
      );
    }
  }
  process.exit(0);
}

if (process.argv[1]?.endsWith('profile.ts')) await main();
