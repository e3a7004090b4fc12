/**
 * What every device must know about a program before it runs: the symbols it depends on, the state its steps write and its prepare steps read, and whether a call's arguments fit.
 */
import type { HostArray, ResidentArray, RunOptions } from './device.js';
import { ArgumentError } from './errors.js';
import { evalSize, type Plan, type PlanDispatch, type PlanInput, type PlanProgram, type PlanStep, type PlanTensor, type SizeExpr } from './plan.js';
import { hostTypeName, isHostArray } from './storage.js';

export interface ProgramInfo {
  readonly program: PlanProgram;
  /** Symbols of the plan that the program depends on, and their largest values. */
  readonly symbols: readonly string[];
  readonly symbolMax: readonly number[];
  /** Names of the inputs that each run brings, and of those that lie on the device. */
  readonly given: readonly string[];
  readonly resident: readonly string[];
  /** Symbols that the prepare steps depend on: prepared memory is valid for their values only. */
  readonly prepareSymbols: readonly string[];
  /** Buffers of kind state that the steps write. */
  readonly stateWritten: readonly number[];
  /** Buffers of kind state that the prepare steps read. */
  readonly statePrepared: readonly number[];
}

function collectSymbols(e: SizeExpr, into: Set<string>): void {
  if (typeof e === 'number') return;
  if ('symbol' in e) into.add(e.symbol);
  else for (const a of e.args) collectSymbols(a, into);
}

/** Calls `visit` for every dispatch, in order, once each. */
export function forEachDispatch(steps: readonly PlanStep[], visit: (d: PlanDispatch) => void): void {
  for (const s of steps) {
    if (s.kind === 'dispatch') visit(s);
    else forEachDispatch(s.body, visit);
  }
}

function symbolsOfSteps(plan: Plan, steps: readonly PlanStep[], into: Set<string>): void {
  for (const s of steps) {
    if (s.kind === 'loop') {
      collectSymbols(s.count, into);
      symbolsOfSteps(plan, s.body, into);
    } else {
      for (const g of s.groups) collectSymbols(g, into);
      for (const name of plan.kernels[s.kernel]!.symbols) into.add(name);
    }
  }
}

/** Buffers of a kind whose access by the steps satisfies `test`. */
function stateTouched(plan: Plan, steps: readonly PlanStep[], test: (access: string) => boolean): number[] {
  const found = new Set<number>();
  forEachDispatch(steps, (d) => {
    plan.kernels[d.kernel]!.args.forEach((a) => {
      const b = d.buffers[a.binding]!;
      if (plan.buffers[b]!.kind === 'state' && test(a.access)) found.add(b);
    });
  });
  return [...found];
}

export function analyse(plan: Plan, program: PlanProgram): ProgramInfo {
  const own = new Set(plan.symbols.map((s) => s.name));
  const prepare = new Set<string>();
  symbolsOfSteps(plan, program.prepare, prepare);
  const all = new Set(prepare);
  symbolsOfSteps(plan, program.steps, all);
  for (const t of [...program.inputs, ...program.outputs]) for (const d of t.shape) collectSymbols(d, all);
  const symbols = [...all].filter((s) => own.has(s));
  return {
    program,
    symbols,
    symbolMax: symbols.map((s) => plan.symbols.find((x) => x.name === s)!.max),
    given: program.inputs.filter((i) => !i.resident).map((i) => i.name),
    resident: program.inputs.filter((i) => i.resident).map((i) => i.name),
    prepareSymbols: [...prepare].filter((s) => own.has(s)),
    stateWritten: stateTouched(plan, program.steps, (a) => a !== 'read'),
    statePrepared: stateTouched(plan, program.prepare, (a) => a !== 'write'),
  };
}

export const quoted = (names: readonly string[]): string => (names.length === 0 ? 'none' : names.map((n) => `'${n}'`).join(', '));

export function unknownProgram(plan: Plan, name: string): ArgumentError {
  return new ArgumentError(`plan '${plan.name}' has no program '${name}'; it has ${quoted(plan.programs.map((p) => p.name))}`);
}

/** Checks the values of the symbols that the program depends on and writes them into `values` (in the order of info.symbols). */
export function bindSymbols(info: ProgramInfo, given: Readonly<Record<string, number>> | undefined, values: number[]): void {
  for (let i = 0; i < info.symbols.length; i++) {
    const name = info.symbols[i]!;
    const v = given?.[name];
    const max = info.symbolMax[i]!;
    if (v === undefined) throw new ArgumentError(`program '${info.program.name}' needs a value for symbol '${name}' (1 to ${max})`);
    if (!Number.isInteger(v) || v < 1 || v > max)
      throw new ArgumentError(
        `program '${info.program.name}': symbol '${name}' must be an integer from 1 to ${max}, found ${v}; memory was planned for at most ${max}`,
      );
    values[i] = v;
  }
}

export const symbolRecord = (info: ProgramInfo, values: readonly number[]): Record<string, number> =>
  Object.fromEntries(info.symbols.map((s, i) => [s, values[i]!]));

export const shapeOf = (t: PlanTensor, symbols: Readonly<Record<string, number>>): number[] => t.shape.map((d) => evalSize(d, symbols));
export const elementsOf = (shape: readonly number[]): number => shape.reduce((a, d) => a * d, 1);

/** The data given for a non-resident input, checked to be of the right class and length. */
export function hostInput(program: PlanProgram, input: PlanInput, shape: readonly number[], options: RunOptions | undefined): HostArray {
  const data = options?.inputs?.[input.name];
  if (data === undefined)
    throw new ArgumentError(`program '${program.name}': input '${input.name}' (${input.dtype}[${shape.join(',')}]) is missing; pass it in inputs`);
  if (!isHostArray(input.dtype, data))
    throw new ArgumentError(
      `program '${program.name}', input '${input.name}': ${input.dtype} data must be a ${hostTypeName(input.dtype)}, found ${(data as object)?.constructor?.name ?? typeof data}`,
    );
  const n = elementsOf(shape);
  if (data.length !== n)
    throw new ArgumentError(`program '${program.name}', input '${input.name}': shape [${shape.join(',')}] has ${n} elements, the data has ${data.length}`);
  return data;
}

/** The array bound to a resident input, checked. */
export function residentInput(program: PlanProgram, input: PlanInput, shape: readonly number[], options: RunOptions | undefined): ResidentArray {
  const data = options?.resident?.[input.name];
  if (data === undefined)
    throw new ArgumentError(
      `program '${program.name}': resident input '${input.name}' (${input.dtype}[${shape.join(',')}]) is missing; upload it and pass it in resident`,
    );
  if (data.dtype !== input.dtype || data.shape.length !== shape.length || data.shape.some((d, i) => d !== shape[i]))
    throw new ArgumentError(
      `program '${program.name}', resident input '${input.name}': expected ${input.dtype}[${shape.join(',')}], found ${data.dtype}[${data.shape.join(',')}]`,
    );
  return data;
}

/** Throws on inputs that the program does not have. */
export function checkNames(info: ProgramInfo, options: RunOptions | undefined): void {
  const check = (given: Readonly<Record<string, unknown>> | undefined, known: readonly string[], kind: string): void => {
    for (const name in given) {
      if (!known.includes(name)) throw new ArgumentError(`program '${info.program.name}' has no ${kind}input '${name}'; it has ${quoted(known)}`);
    }
  };
  check(options?.inputs, info.given, '');
  check(options?.resident, info.resident, 'resident ');
  const repeat = options?.repeat ?? 1;
  if (!Number.isInteger(repeat) || repeat < 1) throw new ArgumentError(`repeat must be a positive integer, found ${repeat}`);
}

/** Throws unless host data fits a dtype and a shape. */
export function checkUpload(what: string, dtype: Parameters<typeof isHostArray>[0], shape: readonly number[], data: HostArray): void {
  if (!isHostArray(dtype, data))
    throw new ArgumentError(`${what}: ${dtype} data must be a ${hostTypeName(dtype)}, found ${(data as object)?.constructor?.name ?? typeof data}`);
  if (shape.some((d) => !Number.isInteger(d) || d < 0)) throw new ArgumentError(`${what}: shape [${shape.join(',')}] must be of integers of at least 0`);
  if (data.length !== elementsOf(shape))
    throw new ArgumentError(`${what}: shape [${shape.join(',')}] has ${elementsOf(shape)} elements, the data has ${data.length}`);
}
