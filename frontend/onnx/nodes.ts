/** Nodes as the file has them: how errors name them, the op and version that they ask for, and their attributes. */
import { UnsupportedError, ValueError } from '../../ir/errors.js';
import { domainOf } from './model-data.js';
import { findOp } from './ops/index.js';
import type { Attr, OpEntry } from './registry.js';
import { FormatError } from './schema/codec.js';
import type { AttributeProto, NodeProto } from './schema/types.js';
import type { Scope } from './scope.js';

export const nodeName = (n: NodeProto): string => `${n.op_type ?? 'node'} '${n.name || n.output?.find((o) => o) || ''}'`;

export const unsupportedNodes = (problems: readonly string[]): UnsupportedError =>
  new UnsupportedError(`${problems.length} node${problems.length === 1 ? ' is' : 's are'} not supported:\n${problems.map((p) => `  ${p}`).join('\n')}`);

/** The entry and version for a node; throws UnsupportedError where there is none. */
export function resolveOp(node: NodeProto, opsets: ReadonlyMap<string, number>, customOps: readonly OpEntry[] = []): { entry: OpEntry; version: number } {
  const domain = domainOf(node.domain);
  const name = node.op_type ?? '';
  const entry = customOps.find((e) => e.name === name && e.domain === domain) ?? findOp(domain, name);
  if (!entry) throw new UnsupportedError(`the op ${domain ? `${domain}.` : ''}${name} is not supported`);
  const opset = opsets.get(domain) ?? (domain === '' ? undefined : Math.max(...entry.versions));
  if (opset === undefined) throw new FormatError(`${nodeName(node)}: the model does not import an opset of the default domain`);
  const version = Math.max(...entry.versions.filter((v) => v <= opset));
  if (!Number.isFinite(version) || (entry.until !== null && opset > entry.until))
    throw new UnsupportedError(
      `${name} is not an op of opset ${opset}${entry.until !== null ? ` (it was removed after opset ${entry.until})` : ` (it came with opset ${Math.min(...entry.versions)})`}`,
    );
  return { entry, version };
}

export function resolveAttribute(a: AttributeProto, scope: Scope): AttributeProto | null {
  if (!a.ref_attr_name) return a;
  const given = scope.attributes?.get(a.ref_attr_name);
  return given ? { ...given, name: a.name } : null;
}

export function readAttributes(entry: OpEntry, node: NodeProto, scope: Scope, where: string): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  const given = new Map<string, AttributeProto>();
  for (const a of node.attribute ?? []) {
    const name = a.name ?? '';
    if (!Object.hasOwn(entry.attributes, name))
      throw new ValueError(`${where}: ${entry.name} has no attribute '${name}'; it has ${Object.keys(entry.attributes).join(', ') || 'none'}`);
    if (given.has(name)) throw new FormatError(`${where}: attribute '${name}' is given twice`);
    const resolved = resolveAttribute(a, scope);
    if (resolved) given.set(name, resolved);
  }
  for (const [name, spec] of Object.entries(entry.attributes)) {
    const a = given.get(name);
    if (a) result[name] = readAttribute(name, spec, a, where);
    else if (spec.required) throw new ValueError(`${where}: attribute '${name}' (${spec.kind}) is missing`);
    else result[name] = spec.fallback;
  }
  return result;
}

function readAttribute(name: string, spec: Attr<unknown>, a: AttributeProto, where: string): unknown {
  if (a.type && a.type !== spec.type) throw new ValueError(`${where}: attribute '${name}' has type ${a.type}, expected ${spec.type} (${spec.kind})`);
  return spec.read(a, where);
}
