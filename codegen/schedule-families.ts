/** The families of schedules and their directives: what `--tune` may vary, and the device's limits that a choice must keep. The code of each is in schedules/. */
import { choiceSlot, type Family, numberSlot, type ParametersOf, type Slots } from './schedule.js';
import type { TargetInfo } from './target.js';

const family = <const S extends Slots>(name: string, slots: S, check: (p: ParametersOf<S>, target: TargetInfo) => string | null = () => null): Family<S> => ({
  name,
  slots,
  check,
});

/** Threads of a workgroup. */
const threads = (of: string) => numberSlot('bind', of, 1, 1024);

const tooMany = (n: number, t: TargetInfo): string | null =>
  n <= t.maxWorkgroupSize ? null : `${n} threads a workgroup, the device allows ${t.maxWorkgroupSize}`;
const tooLarge = (bytes: number, t: TargetInfo): string | null =>
  bytes <= t.maxWorkgroupStorage ? null : `${bytes} bytes of memory a group, the target allows ${t.maxWorkgroupStorage}`;
const powerOfTwo = (n: number, what: string): string | null => ((n & (n - 1)) === 0 ? null : `${what} must be a power of two, found ${n}`);
const multiple = (n: number, of: number, what: string): string | null => (n % of === 0 ? null : `${what} must be a multiple of ${of}, found ${n}`);

// ---- map

/** WASM: a group computes so many elements, or the rows that have about so many. */
export const mapChunks = family('map-chunks', { chunk: numberSlot('split', 'elements') });
/** WebGPU: a thread computes one element or four neighbours. */
export const mapThreads = family('map-threads', { threads: threads('elements'), width: choiceSlot<1 | 4>('vectorize', 'elements', [1, 4]) }, (p, t) =>
  tooMany(p.threads, t),
);
/** A single element. */
export const mapScalar = family('map-scalar', {});

// ---- matmul

/** WASM: blocks of rows and columns a group, cut along k; a register tile of rows by vectors; the left operand packed, or read where it lies. */
export const matmulBlocks = family(
  'matmul-blocks',
  {
    mBlock: numberSlot('split', 'm'),
    nBlock: numberSlot('split', 'n'),
    depth: numberSlot('split', 'k'),
    rows: numberSlot('unroll', 'm', 1, 8),
    width: numberSlot('vectorize', 'n', 4, 32),
    left: choiceSlot<'direct' | 'rows' | 'tiles'>('stage', 'left', ['direct', 'rows', 'tiles']),
    several: numberSlot('group', 'm', 1, 4096),
  },
  (p, t) =>
    multiple(p.width, 4, 'vectorize(n)') ?? multiple(p.mBlock, p.rows, 'split(m)') ?? tooLarge(4 * (p.depth * (p.mBlock + p.width) + p.mBlock * p.nBlock), t),
);
/** WASM, few rows and a matrix that is packed in panels at load: so many panels a group. */
export const matmulPanels = family('matmul-panels', { perGroup: numberSlot('split', 'panels', 1, 65536) });
/** WASM: 3x3 windows by Winograd's way: features and tiles of a block, and blocks of a group. */
export const winogradBlocks = family(
  'winograd-blocks',
  { nBlock: numberSlot('split', 'n'), block: numberSlot('split', 'tiles', 4, 256), several: numberSlot('group', 'tiles', 1, 256) },
  (p) => multiple(p.nBlock, 8, 'split(n)') ?? multiple(p.block, 4, 'split(tiles)'),
);
/** WASM: gradients for 3x3 kernels by Winograd's way: channels, features and tiles of a block. */
export const winogradSums = family(
  'winograd-sums',
  { cBlock: numberSlot('split', 'm'), nBlock: numberSlot('split', 'n'), block: numberSlot('split', 'tiles', 1, 256) },
  (p, t) =>
    multiple(p.cBlock, 4, 'split(m)') ?? multiple(p.nBlock, 8, 'split(n)') ?? tooLarge(4 * 16 * (p.block * (p.cBlock + p.nBlock) + p.cBlock * p.nBlock), t),
);
/** Bytes of the two operands' tiles in workgroup memory. */
export const tileBytes = (tile: number, depth: number): number => 2 * 4 * (depth / 4) * (4 * tile + 8);
/** WebGPU: a workgroup stages a tile of both operands and each thread keeps a square of sums. */
export const matmulTiles = family(
  'matmul-tiles',
  {
    mTile: numberSlot('split', 'm', 16, 128),
    nTile: numberSlot('split', 'n', 16, 128),
    depth: numberSlot('split', 'k', 4, 64),
    mThreads: threads('m'),
    nThreads: threads('n'),
  },
  (p, t) =>
    tooMany(p.mThreads * p.nThreads, t) ??
    (p.mThreads === 8 && p.nThreads === 8 ? null : 'bind(m) and bind(n) must be 8') ??
    (p.mTile === p.nTile && [32, 64].includes(p.mTile) ? null : 'split(m) and split(n) must be equal, 32 or 64') ??
    multiple(p.depth, 4, 'split(k)') ??
    tooLarge(tileBytes(p.mTile, p.depth), t),
);
/** WebGPU adapters on the CPU: a thread keeps so many rows and columns of sums and loads its operands where they lie. */
export const matmulDirect = family(
  'matmul-direct',
  { rows: numberSlot('unroll', 'm', 1, 8), columns: numberSlot('unroll', 'n', 4, 16), threads: threads('tiles') },
  (p, t) => tooMany(p.threads, t) ?? multiple(p.columns, 4, 'unroll(n)'),
);
/** WebGPU, few rows: a thread takes all rows of four columns and one slice of k; the slices meet in workgroup memory. */
export const matmulFewRows = family(
  'matmul-few-rows',
  { columns: threads('n'), slices: threads('k') },
  (p, t) => tooMany(p.columns * p.slices, t) ?? tooLarge(16 * p.columns * p.slices, t) ?? (p.slices > 1 ? null : 'bind(k) must be more than 1'),
);
/** WebGPU: a row of a product, then the reductions over it, in one workgroup. */
export const sequence = family(
  'sequence',
  { threads: threads('row'), columns: threads('n') },
  (p, t) =>
    tooMany(p.threads, t) ??
    powerOfTwo(p.threads, 'bind(row)') ??
    powerOfTwo(p.columns, 'bind(n)') ??
    (p.columns <= p.threads ? null : 'bind(n) must be at most bind(row)'),
);

// ---- reductions

/** WASM: a thread walks so many rows. */
export const rowWalk = family('row-walk', { rows: numberSlot('split', 'rows') });
/** WASM: neighbouring columns side by side. */
export const rowColumns = family('row-columns', { block: numberSlot('split', 'columns', 1, 1 << 20) }, (p, t) => tooLarge(8 * p.block, t));
/** WebGPU: a thread walks its row. */
export const rowThread = family('row-thread', { threads: threads('rows') }, (p, t) => tooMany(p.threads, t));
/** WebGPU: a workgroup walks its row and meets in workgroup memory. */
export const rowWorkgroup = family('row-workgroup', { threads: threads('row') }, (p, t) => tooMany(p.threads, t) ?? powerOfTwo(p.threads, 'bind(row)'));
/** WebGPU: columns side by side, each summed by so many threads. */
export const rowColumnTiles = family(
  'row-column-tiles',
  { wide: threads('columns'), slices: threads('row') },
  (p, t) => tooMany(p.wide * p.slices, t) ?? tooLarge(8 * p.wide * p.slices, t),
);
/** Two kernels, WASM: rows in chunks, chunks in blocks; then so many rows of partial results a group. */
export const twoStepRows = family('two-step-rows', {
  chunk: numberSlot('split', 'row'),
  block: numberSlot('split', 'chunk'),
  finish: numberSlot('split', 'rows'),
});
/** Two kernels, WASM: columns in chunks of the reduced range. */
export const twoStepColumns = family(
  'two-step-columns',
  { chunk: numberSlot('split', 'column'), block: numberSlot('split', 'columns', 1, 1 << 20), finish: numberSlot('split', 'rows') },
  (p, t) => tooLarge(8 * p.block, t),
);
/** Two kernels, WebGPU: a workgroup a chunk of a row; then a workgroup for each row of partial results. */
export const twoStepRowTiles = family(
  'two-step-row-tiles',
  { chunk: numberSlot('split', 'row'), threads: threads('chunk'), finish: threads('row') },
  (p, t) => tooMany(Math.max(p.threads, p.finish), t) ?? powerOfTwo(p.threads, 'bind(chunk)') ?? powerOfTwo(p.finish, 'bind(row)'),
);
/** Two kernels, WebGPU: a workgroup a chunk of a few columns. */
export const twoStepColumnTiles = family(
  'two-step-column-tiles',
  { chunk: numberSlot('split', 'column'), wide: threads('columns'), slices: threads('chunk'), finish: threads('row') },
  (p, t) =>
    tooMany(Math.max(p.wide * p.slices, p.finish), t) ??
    powerOfTwo(p.wide, 'bind(columns)') ??
    powerOfTwo(p.slices, 'bind(chunk)') ??
    powerOfTwo(p.finish, 'bind(row)'),
);

// ---- others

/** WASM: rows of the output a group, neighbouring positions computed together. */
export const windowRows = family('window-rows', { rows: numberSlot('split', 'rows'), together: numberSlot('unroll', 'positions', 1, 8) });
/** A thread or group owns a piece of the scattered axis. */
export const scatterOwners = family('scatter-owners', { parts: numberSlot('split', 'axis'), threads: threads('owners') }, (p, t) => tooMany(p.threads, t));
/** WebGPU: a thread walks a line. */
export const lineThreads = family('line-threads', { threads: threads('lines') }, (p, t) => tooMany(p.threads, t));
/** WASM: a group walks so many lines. */
export const lineChunks = family('line-chunks', { lines: numberSlot('split', 'lines') });
/** WASM: a group walks all steps for so many rows. */
export const recurrentRows = family('recurrent-rows', { rows: numberSlot('split', 'rows', 1, 4096) });
/** WASM, few rows and weights packed by gates: a step is cut in so many ranges of units, and threads meet after each step. */
export const recurrentUnits = family('recurrent-units', { parts: numberSlot('split', 'units', 1, 16) });
/** WebGPU: a workgroup walks all steps for one row. */
export const recurrentWorkgroup = family('recurrent-workgroup', { threads: threads('row') }, (p, t) => tooMany(p.threads, t));
/** One workgroup (on WASM one thread) runs all steps, since only the device knows how many. */
export const whileGroup = family('while-group', { threads: threads('elements') }, (p, t) => tooMany(p.threads, t));

export const families: readonly Family[] = [
  mapChunks,
  mapThreads,
  mapScalar,
  matmulBlocks,
  matmulPanels,
  winogradBlocks,
  winogradSums,
  matmulTiles,
  matmulFewRows,
  sequence,
  rowWalk,
  rowColumns,
  rowThread,
  rowWorkgroup,
  rowColumnTiles,
  twoStepRows,
  twoStepColumns,
  twoStepRowTiles,
  twoStepColumnTiles,
  windowRows,
  scatterOwners,
  lineThreads,
  lineChunks,
  recurrentRows,
  recurrentUnits,
  recurrentWorkgroup,
  whileGroup,
] as unknown as readonly Family[];
