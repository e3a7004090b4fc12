/** Small ONNX models written in code. */

import { elementTypeOf } from '../../frontend/onnx/element-types.js';
import { type LoadOptions, type OnnxInput, OnnxModel } from '../../frontend/onnx/model.js';
import type { AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto } from '../../frontend/onnx/schema/types.js';
import type { DType } from '../../ir/dtype.js';
import { sizeOf, type TensorData } from '../../ir/tensor-data.js';

export type AttributeValue =
  | number
  | string
  | readonly number[]
  | { readonly float: number }
  | { readonly floats: readonly number[] }
  | { readonly graph: GraphProto }
  | { readonly tensor: TensorProto }
  | { readonly ref: string; readonly type: number };

const text = new TextEncoder();

export function attribute(name: string, value: AttributeValue): AttributeProto {
  if (typeof value === 'number') return { name, type: 2, i: value };
  if (typeof value === 'string') return { name, type: 3, s: text.encode(value) };
  if (Array.isArray(value)) return { name, type: 7, ints: [...value] };
  const v = value as Exclude<AttributeValue, number | string | readonly number[]>;
  if ('float' in v) return { name, type: 1, f: v.float };
  if ('floats' in v) return { name, type: 6, floats: [...v.floats] };
  if ('graph' in v) return { name, type: 5, g: v.graph };
  if ('tensor' in v) return { name, type: 4, t: v.tensor };
  return { name, type: v.type, ref_attr_name: v.ref };
}

export const node = (
  op_type: string,
  input: readonly string[],
  output: readonly string[],
  attributes: Readonly<Record<string, AttributeValue>> = {},
  domain = '',
): NodeProto => ({
  op_type,
  domain,
  name: `${op_type}_${output[0] ?? ''}`,
  input: [...input],
  output: [...output],
  attribute: Object.entries(attributes).map(([n, v]) => attribute(n, v)),
});

export const info = (name: string, dtype: DType, shape: readonly (number | string)[]): ValueInfoProto => ({
  name,
  type: { tensor_type: { elem_type: elementTypeOf(dtype), shape: { dim: shape.map((d) => (typeof d === 'number' ? { dim_value: d } : { dim_param: d })) } } },
});

export const floats = (name: string, dims: readonly number[], values: readonly number[]): TensorProto => ({
  name,
  dims: [...dims],
  data_type: 1,
  float_data: [...values],
});
export const longs = (name: string, dims: readonly number[], values: readonly number[]): TensorProto => ({
  name,
  dims: [...dims],
  data_type: 7,
  int64_data: [...values],
});

export interface GraphParts {
  readonly nodes: readonly NodeProto[];
  readonly inputs?: readonly ValueInfoProto[];
  readonly outputs: readonly string[] | readonly ValueInfoProto[];
  readonly initializers?: readonly TensorProto[];
  readonly opset?: number;
  readonly functions?: ModelProto['functions'];
  readonly domains?: Readonly<Record<string, number>>;
}

export const graph = (p: GraphParts): GraphProto => ({
  name: 'g',
  node: [...p.nodes],
  input: [...(p.inputs ?? [])],
  output: p.outputs.map((o) => (typeof o === 'string' ? { name: o, type: { tensor_type: { elem_type: 1 } } } : o)),
  initializer: [...(p.initializers ?? [])],
});

export const model = (p: GraphParts): ModelProto => ({
  ir_version: 8,
  opset_import: [{ domain: '', version: p.opset ?? 17 }, ...Object.entries(p.domains ?? {}).map(([domain, version]) => ({ domain, version }))],
  graph: graph(p),
  functions: p.functions ?? [],
});

/** Runs a model on the reference evaluation (or another device). */
export async function run(p: GraphParts, feeds: Readonly<Record<string, OnnxInput>> = {}, options: LoadOptions = {}): Promise<Record<string, TensorData>> {
  const m = await OnnxModel.create(model(p), { device: 'reference', ...options });
  try {
    return await m.run(feeds);
  } finally {
    m.dispose();
  }
}

export const numbers = (t: TensorData | undefined): number[] => Array.from((t?.data ?? []) as ArrayLike<number | bigint>, Number);
export const ramp = (shape: readonly number[], step = 1, start = 0): { shape: readonly number[]; data: number[] } => ({
  shape,
  data: Array.from({ length: sizeOf(shape) }, (_, i) => start + i * step),
});
export const f32 = (shape: readonly (number | string)[], name = 'x'): ValueInfoProto => info(name, 'float32', shape);
