/** What can be said about a model before any shape is known: unknown ops and versions, types of tensors, recursion in functions; one error lists everything. */
import { UnsupportedError } from '../../ir/errors.js';
import { elementName, isSupportedType } from './element-types.js';
import { type ModelData, opsetsOf } from './model-data.js';
import { nodeName, resolveOp, unsupportedNodes } from './nodes.js';
import { FormatError } from './schema/codec.js';
import type { FunctionProto, GraphProto, NodeProto, TypeProto } from './schema/types.js';

/** Opsets of the default domain that are read. */
export const opsetVersions = { lowest: 1, highest: 28 } as const;

function typeProblem(type: TypeProto | null | undefined): string | null {
  if (!type) return null;
  if (type.tensor_type) {
    const t = type.tensor_type.elem_type ?? 0;
    return isSupportedType(t) ? null : `tensors of ${elementName(t)} are not supported`;
  }
  const kind = type.sequence_type
    ? 'sequence'
    : type.map_type
      ? 'map'
      : type.optional_type
        ? 'optional'
        : type.sparse_tensor_type
          ? 'sparse tensor'
          : type.opaque_type
            ? 'opaque value'
            : null;
  return kind === null ? null : `a ${kind} cannot be an input or output; only tensors can`;
}

/** Throws UnsupportedError with every problem, FormatError for a model that contradicts itself. */
export function checkSupport(model: ModelData): void {
  const problems: string[] = [];
  const opset = model.opsets.get('');
  if (opset !== undefined && (opset < opsetVersions.lowest || opset > opsetVersions.highest))
    throw new UnsupportedError(`ONNX model: opset ${opset} is not supported, expected ${opsetVersions.lowest} to ${opsetVersions.highest}`);
  const seen = new Set<FunctionProto>();
  const visitFunction = (f: FunctionProto, trail: readonly FunctionProto[], where: string): void => {
    if (trail.includes(f)) throw new FormatError(`${where}: the function '${f.name}' calls itself`);
    if (trail.length >= 64) throw new FormatError(`${where}: functions are nested deeper than 64`);
    if (seen.has(f)) return;
    visitNodes(f.node ?? [], opsetsOf(f.opset_import, `function '${f.name}'`), [...trail, f]);
    seen.add(f);
  };
  const visitNodes = (nodes: readonly NodeProto[], opsets: ReadonlyMap<string, number>, trail: readonly FunctionProto[]): void => {
    for (const n of nodes) {
      const f = model.functionOf(n);
      if (f) visitFunction(f, trail, nodeName(n));
      else {
        try {
          resolveOp(n, opsets, model.customOps);
        } catch (e) {
          if (!(e instanceof UnsupportedError)) throw e;
          problems.push(`${nodeName(n)}: ${e.message}`);
        }
      }
      for (const a of n.attribute ?? []) {
        if (a.g) visitGraph(a.g, opsets, trail);
        for (const g of a.graphs ?? []) visitGraph(g, opsets, trail);
      }
    }
  };
  const visitGraph = (g: GraphProto, opsets: ReadonlyMap<string, number>, trail: readonly FunctionProto[]): void => visitNodes(g.node ?? [], opsets, trail);
  for (const info of model.graph.input ?? []) {
    const p = model.initializers.has(info.name ?? '') ? null : typeProblem(info.type);
    if (p) problems.push(`input '${info.name}': ${p}`);
  }
  for (const info of model.graph.output ?? []) {
    const p = typeProblem(info.type);
    if (p) problems.push(`output '${info.name}': ${p}`);
  }
  visitGraph(model.graph, model.opsets, []);
  for (const f of model.functions.values()) visitFunction(f, [], `function '${f.name}'`);
  if (problems.length > 0) throw unsupportedNodes(problems);
}
