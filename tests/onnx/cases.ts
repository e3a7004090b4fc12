/** Cases of the official ONNX backend suite: reading, running and judging them as its own runner does. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { dtypeOf } from '../../frontend/onnx/element-types.js';
import { OnnxModel } from '../../frontend/onnx/model.js';
import { decodeModel, decodeTensor, intOf } from '../../frontend/onnx/schema/codec.js';
import type { ModelProto } from '../../frontend/onnx/schema/types.js';
import { readTensor } from '../../frontend/onnx/tensors.js';
import { UnsupportedError } from '../../ir/errors.js';
import { sizeOf, type TensorData } from '../../ir/tensor-data.js';
import type { Device } from '../../runtime/device.js';

export const tolerance = { relative: 1e-3, absolute: 1e-7 } as const;

export interface Outcome {
  readonly result: 'passed' | 'refused' | 'wrong' | 'error';
  readonly note: string;
}

const tensorFile = (file: string): TensorData => readTensor(decodeTensor(readFileSync(file)), path.basename(file));

/** What is wrong with an output; null where it is right. */
export function compare(name: string, actual: TensorData | undefined, expected: TensorData): string | null {
  if (!actual) return `no output '${name}'`;
  if (actual.dtype !== expected.dtype) return `'${name}': expected ${expected.dtype}, found ${actual.dtype}`;
  if (actual.shape.join() !== expected.shape.join()) return `'${name}': expected shape [${expected.shape.join(',')}], found [${actual.shape.join(',')}]`;
  let bad = 0;
  let first = '';
  for (let i = 0; i < expected.data.length; i++) {
    const [a, e] = [Number(actual.data[i]), Number(expected.data[i])];
    const same =
      actual.data[i] === expected.data[i] ||
      (Number.isNaN(a) && Number.isNaN(e)) ||
      (Number.isFinite(e) && Math.abs(a - e) <= tolerance.absolute + tolerance.relative * Math.abs(e));
    if (same) continue;
    if (bad++ === 0) first = `element ${i} is ${a}, expected ${e}`;
  }
  return bad === 0 ? null : `'${name}': ${bad} of ${expected.data.length} elements differ; ${first}`;
}

/** The input that the official runner makes for a light model: element i of n is i / n. */
function rampFor(model: ModelProto): Record<string, TensorData> {
  const constants = new Set((model.graph?.initializer ?? []).map((t) => t.name));
  const inputs = (model.graph?.input ?? []).filter((i) => !constants.has(i.name));
  return Object.fromEntries(
    inputs.map((i) => {
      const type = i.type?.tensor_type;
      const shape = (type?.shape?.dim ?? []).map((d) => (Object.hasOwn(d, 'dim_value') ? intOf(d.dim_value) : 1));
      const n = sizeOf(shape);
      return [i.name!, { dtype: dtypeOf(type?.elem_type ?? 0, 'input'), shape, data: Float32Array.from({ length: n }, (_, k) => k / n) }];
    }),
  );
}

export interface CaseFiles {
  readonly name: string;
  readonly model: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** The input is made, not read. */
  readonly ramp: boolean;
}

export async function runCase(files: CaseFiles, device: Device | 'reference'): Promise<Outcome> {
  let model: OnnxModel | null = null;
  try {
    const proto = decodeModel(readFileSync(files.model));
    model = await OnnxModel.create(proto, { device, onWarning: () => undefined });
    const feeds = files.ramp ? rampFor(proto) : Object.fromEntries(files.inputs.map((f, i) => [proto.graph!.input![i]!.name!, tensorFile(f)]));
    const stored = files.outputs.map((f) => decodeTensor(readFileSync(f)));
    const expected = stored.map((t, i) => readTensor(t, path.basename(files.outputs[i]!)));
    const actual = await model.run(feeds);
    const names = proto.graph!.output!.map((o) => o.name!);
    if (names.length !== expected.length) return { result: 'wrong', note: `${names.length} outputs, expected ${expected.length}` };
    // Types that others carry are told by what the model declares, which the importer holds against what was computed.
    const declared = proto.graph!.output!.map((o) => o.type?.tensor_type?.elem_type);
    const problems = expected
      .map((e, i) =>
        stored[i]!.data_type === declared[i]
          ? compare(names[i]!, actual[names[i]!], e)
          : `'${names[i]}': element type ${declared[i]}, expected ${stored[i]!.data_type}`,
      )
      .filter((p) => p !== null);
    return problems.length === 0 ? { result: 'passed', note: '' } : { result: 'wrong', note: problems.join('; ') };
  } catch (e) {
    const note = e instanceof Error ? e.message : String(e);
    if (e instanceof UnsupportedError) return { result: 'refused', note };
    return { result: 'error', note: e instanceof Error ? (e.stack ?? note) : note };
  } finally {
    model?.dispose();
  }
}
