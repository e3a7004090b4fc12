/** A model as the importer uses it: its functions, opsets and initializers by name. */
import type { TensorData } from '../../ir/tensor-data.js';
import type { OpEntry } from './registry.js';
import { FormatError, intOf } from './schema/codec.js';
import type { FunctionProto, GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto } from './schema/types.js';
import { readSparse, readTensor } from './tensors.js';

export const domainOf = (d: string | null | undefined): string => (!d || d === 'ai.onnx' ? '' : d);
export const functionKey = (domain: string, name: string, overload: string): string => `${domain}\u0000${name}\u0000${overload}`;

/** A model as the importer uses it: tensors decoded once, functions and opsets by name. */
export class ModelData {
  readonly functions = new Map<string, FunctionProto>();
  readonly opsets: ReadonlyMap<string, number>;
  readonly initializers = new Map<string, TensorProto | SparseTensorProto>();
  private readonly tensors = new Map<TensorProto | SparseTensorProto, TensorData>();

  constructor(
    readonly proto: ModelProto,
    readonly customOps: readonly OpEntry[] = [],
  ) {
    this.opsets = opsetsOf(proto.opset_import, 'the model');
    for (const f of proto.functions ?? []) this.functions.set(functionKey(domainOf(f.domain), f.name ?? '', f.overload ?? ''), f);
    for (const t of this.graph.initializer ?? []) this.declare(t.name ?? '', t);
    for (const s of this.graph.sparse_initializer ?? []) this.declare(s.values?.name ?? '', s);
  }

  get graph(): GraphProto {
    return this.proto.graph!;
  }

  private declare(name: string, t: TensorProto | SparseTensorProto): void {
    if (name === '' || this.initializers.has(name)) throw new FormatError(`ONNX model: two initializers are named '${name}', or one has no name`);
    this.initializers.set(name, t);
  }

  tensor(t: TensorProto | SparseTensorProto, where: string): TensorData {
    const old = this.tensors.get(t);
    if (old) return old;
    const data = 'values' in t || 'indices' in t ? readSparse(t as SparseTensorProto, where) : readTensor(t as TensorProto, where);
    this.tensors.set(t, data);
    return data;
  }

  functionOf(node: NodeProto): FunctionProto | undefined {
    return this.functions.get(functionKey(domainOf(node.domain), node.op_type ?? '', node.overload ?? ''));
  }
}

export function opsetsOf(list: ModelProto['opset_import'], what: string): Map<string, number> {
  const map = new Map<string, number>();
  for (const o of list ?? []) {
    const domain = domainOf(o.domain);
    const version = intOf(o.version);
    if (map.has(domain) && map.get(domain) !== version) throw new FormatError(`ONNX: ${what} imports domain '${domain}' twice`);
    map.set(domain, version);
  }
  return map;
}
