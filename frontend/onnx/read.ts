/**
 * ONNX files to messages: from a path, bytes, a Blob or a stream. Files are hostile: sizes are bounded, and external data is read only from regular files inside the folder of the
 * model (or from what the caller passes by name), within the bounds of those files.
 */
import { UnsupportedError, ValueError } from '../../ir/errors.js';
import { decodeModel, FormatError, intOf } from './schema/codec.js';
import type { GraphProto, ModelProto, NodeProto, TensorProto } from './schema/types.js';

/** A path or file URL, bytes, or anything that gives bytes in pieces. */
export type OnnxSource = string | URL | ArrayBuffer | Uint8Array | Blob | ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>;

export interface ReadOptions {
  /** Largest model file, in bytes. Default 2 GiB. */
  readonly maxBytes?: number;
  /** Contents of external data files by the location that the model names; needed where the model does not come from a path. */
  readonly externalData?: Readonly<Record<string, Uint8Array | ArrayBuffer>>;
  /** Largest number of nodes, subgraphs and function bodies included. Default 1,000,000. */
  readonly maxNodes?: number;
  /** Deepest nesting of subgraphs. Default 32. */
  readonly maxDepth?: number;
}

const bytesOf = (x: Uint8Array | ArrayBuffer): Uint8Array => (x instanceof Uint8Array ? x : new Uint8Array(x));
const isPath = (s: OnnxSource): s is string | URL => typeof s === 'string' || s instanceof URL;

async function collect(chunks: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const c of chunks) {
    size += c.byteLength;
    if (size > maxBytes) throw new FormatError(`ONNX model: more than ${maxBytes} bytes (option maxBytes)`);
    parts.push(c);
  }
  const all = new Uint8Array(size);
  let at = 0;
  for (const p of parts) {
    all.set(p, at);
    at += p.byteLength;
  }
  return all;
}

async function* chunksOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    reader.releaseLock();
  }
}

async function readBytes(source: OnnxSource, maxBytes: number): Promise<{ bytes: Uint8Array; folder: string | null }> {
  const tooLarge = (n: number): void => {
    if (n > maxBytes) throw new FormatError(`ONNX model: ${n} bytes, more than ${maxBytes} (option maxBytes)`);
  };
  if (isPath(source)) {
    const fs = await import('node:fs/promises');
    const path = await import('node:path');
    const file = typeof source === 'string' ? source : (await import('node:url')).fileURLToPath(source);
    let real: string;
    try {
      real = await fs.realpath(file);
      const stat = await fs.stat(real);
      if (!stat.isFile()) throw new ValueError(`${file} is not a file`);
      tooLarge(stat.size);
    } catch (e) {
      if (e instanceof ValueError) throw e;
      throw new ValueError(`cannot read ${file}: ${e instanceof Error ? e.message : String(e)}`);
    }
    return { bytes: await fs.readFile(real), folder: path.dirname(real) };
  }
  if (source instanceof ArrayBuffer || source instanceof Uint8Array) {
    tooLarge(source.byteLength);
    return { bytes: bytesOf(source), folder: null };
  }
  if (typeof Blob !== 'undefined' && source instanceof Blob) {
    tooLarge(source.size);
    return { bytes: new Uint8Array(await source.arrayBuffer()), folder: null };
  }
  if (typeof source === 'object' && source !== null && Symbol.asyncIterator in source) return { bytes: await collect(source, maxBytes), folder: null };
  if (typeof ReadableStream !== 'undefined' && source instanceof ReadableStream) return { bytes: await collect(chunksOf(source), maxBytes), folder: null };
  throw new ValueError('onnx: the source must be a path, an ArrayBuffer, a Uint8Array, a Blob or a stream of bytes');
}

/** Calls `visit` for every tensor of the model, with where it is; checks the limits of nodes and nesting on the way. */
export function forEachTensor(model: ModelProto, visit: (t: TensorProto, where: string) => void, limits: { maxNodes: number; maxDepth: number }): void {
  let count = 0;
  const nodes = (list: readonly NodeProto[], depth: number): void => {
    count += list.length;
    if (count > limits.maxNodes) throw new FormatError(`ONNX model: more than ${limits.maxNodes} nodes (option maxNodes)`);
    for (const n of list) {
      for (const a of n.attribute ?? []) {
        const where = `${n.op_type ?? 'node'} '${n.name || n.output?.[0] || ''}', attribute '${a.name ?? ''}'`;
        if (a.t) visit(a.t, where);
        for (const t of a.tensors ?? []) visit(t, where);
        for (const s of [...(a.sparse_tensor ? [a.sparse_tensor] : []), ...(a.sparse_tensors ?? [])]) {
          if (s.values) visit(s.values, where);
          if (s.indices) visit(s.indices, where);
        }
        if (a.g) graph(a.g, depth + 1);
        for (const g of a.graphs ?? []) graph(g, depth + 1);
      }
    }
  };
  const graph = (g: GraphProto, depth: number): void => {
    if (depth > limits.maxDepth) throw new FormatError(`ONNX model: subgraphs are nested deeper than ${limits.maxDepth} (option maxDepth)`);
    for (const t of g.initializer ?? []) visit(t, `initializer '${t.name ?? ''}'`);
    for (const s of g.sparse_initializer ?? []) {
      if (s.values) visit(s.values, `sparse initializer '${s.values.name ?? ''}'`);
      if (s.indices) visit(s.indices, `sparse initializer '${s.values?.name ?? ''}'`);
    }
    nodes(g.node ?? [], depth);
  };
  if (model.graph) graph(model.graph, 0);
  for (const f of model.functions ?? []) {
    nodes(f.node ?? [], 0);
    for (const a of f.attribute_proto ?? []) if (a.t) visit(a.t, `function '${f.name ?? ''}'`);
  }
}

interface External {
  readonly tensor: TensorProto;
  readonly where: string;
  readonly location: string;
  readonly offset: number;
  readonly length: number | null;
}

function externalOf(t: TensorProto, where: string): External {
  const entries = new Map((t.external_data ?? []).map((e) => [e.key ?? '', e.value ?? '']));
  const location = entries.get('location') ?? '';
  const number = (key: string): number | null => {
    const text = entries.get(key);
    if (text === undefined || text === '') return null;
    if (!/^\d{1,15}$/.test(text)) throw new FormatError(`${where}: external data has ${key} '${text}', expected a number`);
    return Number(text);
  };
  const parts = location.split(/[\\/]/);
  if (location === '' || /^([\\/]|[A-Za-z]:)/.test(location) || parts.includes('..') || location.includes('\0'))
    throw new FormatError(`${where}: external data at '${location}' must be a path inside the folder of the model`);
  return { tensor: t, where, location, offset: number('offset') ?? 0, length: number('length') };
}

function cut(e: External, size: number): number {
  const length = e.length ?? size - e.offset;
  if (e.offset > size || length < 0 || e.offset + length > size)
    throw new FormatError(`${e.where}: external data [${e.offset}, ${e.offset + length}) is outside of '${e.location}' of ${size} bytes`);
  return length;
}

function accept(e: External, bytes: Uint8Array): void {
  e.tensor.raw_data = bytes;
  e.tensor.data_location = 0;
}

async function loadFrom(folder: string, list: readonly External[]): Promise<void> {
  const fs = await import('node:fs/promises');
  const path = await import('node:path');
  for (const e of list) {
    const file = path.resolve(folder, e.location);
    let real: string;
    try {
      real = await fs.realpath(file);
    } catch {
      throw new FormatError(`${e.where}: its external data '${e.location}' is not in the folder of the model`);
    }
    if (path.relative(folder, real).startsWith('..') || path.isAbsolute(path.relative(folder, real)))
      throw new FormatError(`${e.where}: external data '${e.location}' leads out of the folder of the model`);
    const handle = await fs.open(real, 'r');
    try {
      const stat = await handle.stat();
      if (!stat.isFile() || stat.nlink > 1) throw new FormatError(`${e.where}: external data '${e.location}' must be a regular file with one name`);
      const length = cut(e, stat.size);
      const bytes = new Uint8Array(length);
      let at = 0;
      while (at < length) {
        const { bytesRead } = await handle.read(bytes, at, Math.min(length - at, 2 ** 30), e.offset + at);
        if (bytesRead === 0) throw new FormatError(`${e.where}: '${e.location}' ended while it was read`);
        at += bytesRead;
      }
      accept(e, bytes);
    } finally {
      await handle.close();
    }
  }
}

/** Reads and decodes a model, and puts its external data in place. Throws ValueError, FormatError. */
export async function readModel(source: OnnxSource, options: ReadOptions = {}): Promise<ModelProto> {
  const { bytes, folder } = await readBytes(source, options.maxBytes ?? 2 ** 31);
  const model = decodeModel(bytes);
  checkModel(model);
  const external: External[] = [];
  forEachTensor(
    model,
    (t, where) => {
      if (t.data_location === 1) external.push(externalOf(t, where));
    },
    { maxNodes: options.maxNodes ?? 1_000_000, maxDepth: options.maxDepth ?? 32 },
  );
  const open: External[] = [];
  for (const e of external) {
    const given = Object.hasOwn(options.externalData ?? {}, e.location) ? options.externalData![e.location] : undefined;
    if (given === undefined) open.push(e);
    else accept(e, bytesOf(given).subarray(e.offset, e.offset + cut(e, given.byteLength)));
  }
  if (open.length > 0) {
    if (folder === null)
      throw new ValueError(
        `${open[0]!.where}: its data is in '${open[0]!.location}'; pass the contents of ${[...new Set(open.map((e) => `'${e.location}'`))].join(', ')} in externalData`,
      );
    await loadFrom(folder, open);
  }
  return model;
}

/** IR versions that are read. */
export const irVersions = { lowest: 3, highest: 14 } as const;

function checkModel(model: ModelProto): void {
  if (!model.graph) throw new FormatError('ONNX model: it has no graph; the file is damaged or is not an ONNX model');
  const ir = intOf(model.ir_version);
  if (ir < irVersions.lowest || ir > irVersions.highest)
    throw new UnsupportedError(`ONNX model: IR version ${ir} is not supported, expected ${irVersions.lowest} to ${irVersions.highest}`);
}
