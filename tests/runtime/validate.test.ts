import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ModelFormatError } from '../../runtime/errors.js';
import type { Plan } from '../../runtime/plan.js';
import { validateCompiled, validatePlan } from '../../runtime/validate.js';
import { mlpArtefact } from '../support/mlp-artefact.js';
import { linearPlan } from '../support/plans.js';

type Path = readonly (string | number)[];
const copy = (): Record<string, unknown> => JSON.parse(JSON.stringify(linearPlan().plan)) as Record<string, unknown>;

/** The plan with the value at `path` replaced (undefined removes it). */
function changed(path: Path, value: unknown, of?: Record<string, unknown>): Record<string, unknown> {
  const json = of ? (JSON.parse(JSON.stringify(of)) as Record<string, unknown>) : copy();
  let at = json as Record<string | number, unknown>;
  for (const key of path.slice(0, -1)) at = at[key] as Record<string | number, unknown>;
  if (value === undefined) delete at[path.at(-1)!];
  else at[path.at(-1)!] = value;
  return json;
}

function paths(v: unknown, prefix: Path = []): Path[] {
  if (typeof v !== 'object' || v === null) return [prefix];
  return [...(prefix.length > 0 ? [prefix] : []), ...Object.entries(v).flatMap(([k, x]) => paths(x, [...prefix, Array.isArray(v) ? Number(k) : k]))];
}

const refuses = (json: unknown, pattern: RegExp, blobBytes?: number) =>
  assert.throws(
    () => validatePlan(json, blobBytes),
    (e: unknown) => e instanceof ModelFormatError && pattern.test(e.message),
  );

test('a good plan passes, from memory and from JSON', () => {
  validateCompiled(linearPlan());
  const json = copy();
  assert.is(validatePlan(json), json as unknown as Plan);
});

test('messages name the field, what was expected and what was found', () => {
  const cases: [Path, unknown, RegExp][] = [
    [['format'], 'onnx', /plan\.format: expected 'tenon-plan', found 'onnx'/],
    [['version'], 3, /plan\.version: expected 2, found 3: the plan was made by a newer version/],
    [['version'], 1, /plan\.version: expected 2, found 1: the plan was made by another version/],
    [['programs', 0, 'steps', 0, 'phase'], 17, /steps\[0\]\.phase: expected 1 to 16 groups, and parallel: false, found 17/],
    [['schedules'], { a: 1 }, /plan\.schedules\['a'\]: expected a string/],
    [['target'], 'metal', /plan\.target: expected one of webgpu, wasm, found 'metal'/],
    [['symbols', 0, 'max'], 0, /symbols\[0\]\.max: expected an integer of at least 1, found 0/],
    [['symbols', 1, 'name'], 'batch', /plan\.symbols: the name 'batch' occurs twice/],
    [['buffers', 1, 'name'], 'io', /plan\.buffers: the name 'io' occurs twice/],
    [['buffers', 0, 'kind'], 'heap', /buffers\[0\]\.kind: expected one of state, arena/],
    [['buffers', 5, 'bytes'], 1000, /inputs\[0\]: 'x' takes bytes 0 to 1024 of buffer 'io', which has 1000/],
    [['symbols', 0, 'max'], 129, /'x' takes bytes 0 to 2064 of buffer 'io', which has 2048/],
    [['buffers', 3, 'blobOffset'], 17, /buffers\[3\]: bytes 17 to 33 lie outside the constant blob of 32 bytes/],
    [['state', 0, 'shape'], [{ symbol: 'batch' }], /state\[0\]/],
    [['state', 0, 'initial'], 20, /state\[0\]\.initial: bytes 20 to 36 lie outside/],
    [['state', 0, 'views', 1, 'offset'], 4, /state\[0\]\.views\[1\]: elements 4 to 5 lie outside of 'weights', which has 4/],
    [['state', 1, 'offset'], 18, /state\[1\]\.offset: 18 is not aligned for int32/],
    [['state', 1, 'buffer'], 1, /'steps' lies in buffer 'arena' of kind arena; expected state/],
    [['kernels', 0, 'args', 1, 'binding'], 3, /args\[1\]\.binding: expected the index of one of 3 bindings, found 3/],
    [['kernels', 0, 'args', 1, 'binding'], 0, /args\[1\]: 'w2' is written through binding 0, which is for reading only/],
    [['kernels', 1, 'name'], 'prepare/scale', /plan\.kernels: the name 'prepare\/scale' occurs twice/],
    [['kernels', 1, 'symbols', 0], 'time', /kernel 'predict\/dot' needs symbol 'time', which is not known here/],
    [['programs', 0, 'steps', 0, 'kernel'], 6, /steps\[0\]\.kernel: expected the index of one of 6 kernels, found 6/],
    [['programs', 0, 'steps', 0, 'buffers'], [5, 2], /has 3 bindings, found 2 buffers/],
    [['programs', 0, 'steps', 0, 'buffers'], [1, 2, 1], /buffer 'arena' is written and bound twice in one dispatch/],
    [['programs', 0, 'steps', 0, 'buffers', 2], 3, /buffer 'constants' of kind constant is written/],
    [['programs', 0, 'steps', 0, 'buffers', 0], 4, /no resident input of the program binds buffer 'data'/],
    [['programs', 0, 'steps', 0, 'offsets', 0], 2, /offsets\[0\]: 2 is not aligned for 'x' of float32/],
    [['programs', 0, 'steps', 0, 'offsets', 0], 4096, /4096 lies outside of buffer 'io' of 2048 bytes/],
    [['programs', 0, 'steps', 0, 'groups', 0], { op: 'ceildiv', args: [1, 0] }, /ceildiv must be by a positive number/],
    [['programs', 0, 'steps', 0, 'groups', 0], { symbol: 'time' }, /unknown symbol 'time'; known here: batch, rows/],
    [['programs', 1, 'steps', 1, 'symbol'], 'rows', /'rows' is already a symbol here/],
    [['programs', 1, 'name'], 'predict', /plan\.programs: the name 'predict' occurs twice/],
    [['programs', 1, 'inputs', 0, 'resident'], false, /'data' lies in buffer 'data' of kind input; expected io/],
    [['requiredLimits'], { maxBufferSize: -1 }, /requiredLimits\.maxBufferSize/],
  ];
  for (const [path, value, pattern] of cases) refuses(changed(path, value), pattern, 32);
  refuses({ ...copy(), target: 'wasm' }, /plan\.wasm: is missing/);
  for (const json of [null, 3, 'plan', [], {}]) refuses(json, /plan/);
});

test('expressions and loops are bounded in depth', () => {
  let deep: unknown = 1;
  for (let i = 0; i < 40; i++) deep = { op: 'add', args: [deep, 1] };
  refuses(changed(['programs', 0, 'steps', 0, 'groups', 0], deep), /nested deeper than 32/);
  let loop: unknown = [];
  for (let i = 0; i < 12; i++) loop = [{ kind: 'loop', symbol: `i${i}`, count: 1, reverse: false, body: loop }];
  refuses(changed(['programs', 0, 'steps'], loop), /loops are nested deeper than 8/);
});

test('any field may be anything or missing: only ModelFormatError comes out', () => {
  const all = paths(copy());
  const junk = fc.constantFrom<unknown>(
    undefined,
    null,
    -1,
    1.5,
    1e300,
    0,
    7,
    '',
    'x',
    [],
    {},
    [1, 2, 3],
    { symbol: 'batch' },
    { op: 'sub', args: [0, { symbol: 'batch' }] },
    { __proto__: null },
    true,
  );
  fc.assert(
    fc.property(fc.nat(all.length - 1), junk, (i, value) => {
      try {
        validatePlan(changed(all[i]!, value), 32);
      } catch (e) {
        if (!(e instanceof ModelFormatError)) throw e;
      }
    }),
    { numRuns: 3000, seed: 3 },
  );
});

test('compiled plans pass, for both targets, and fuzzing them gives our errors only', () => {
  for (const [file, bytes] of mlpArtefact()) {
    if (!file.endsWith('.json')) continue;
    const { plan } = JSON.parse(new TextDecoder().decode(bytes)) as { plan: Record<string, unknown> };
    validatePlan(plan);
    const all = paths(plan);
    fc.assert(
      fc.property(fc.nat(all.length - 1), fc.constantFrom<unknown>(undefined, null, -1, 2 ** 40, 'x', [], {}), (i, value) => {
        try {
          validatePlan(changed(all[i]!, value, plan));
        } catch (e) {
          if (!(e instanceof ModelFormatError)) throw e;
        }
      }),
      { numRuns: 500, seed: 4 },
    );
  }
});

test('a kernel without its source is named', () => {
  const c = linearPlan();
  assert.throws(() => validateCompiled({ ...c, wgsl: c.wgsl.slice(0, 2) }), /kernels\[2\]\.code: kernel 'train\/mean' asks for source 2, the plan has 2/);
});

test.run();
