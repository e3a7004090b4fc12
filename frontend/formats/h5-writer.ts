/**
 * Writes HDF5 files, straight into a sink: the library sees a file whose bytes lie elsewhere, so that neither the file nor a second copy of an array larger than 64 MB is in memory.
 * Only what this program made goes through it, so it runs where it is called.
 */
import { ModelFormatError } from '../../ir/errors.js';
import type { Sink } from './sink.js';

export type H5Array = Float32Array | Float64Array | Int32Array | Uint32Array | Int8Array | Uint8Array | Int16Array | Uint16Array | BigInt64Array;

interface Stream {
  position: number;
}
interface Node {
  contents: unknown;
  stream_ops: Record<string, unknown>;
  node_ops: Record<string, unknown>;
  mtime?: number;
}
interface Dataset {
  resize(shape: number[]): number;
  write_slice(ranges: [number, number][], data: H5Array): void;
}
interface Group {
  create_group(name: string): Group;
  create_attribute(name: string, data: string | string[] | H5Array, shape?: number[] | null, dtype?: string | null): void;
  create_dataset(args: { name: string; data: H5Array; shape: number[]; dtype: string; maxshape?: number[]; chunks?: number[] }): Dataset;
}
interface Library {
  readonly ready: Promise<{
    FS: {
      createFile(parent: string, name: string, p: object, r: boolean, w: boolean): Node;
      unlink(path: string): void;
      ErrnoError: new (code: number) => Error;
    };
    activate_throwing_error_handler(): void;
  }>;
  readonly File: new (name: string, mode: string, options: { libver: [string, string] }) => Group & { readonly file_id: bigint; close(): number };
}

/** Larger arrays are written in slices. */
const wholeBytes = 64 << 20;
const sliceBytes = 8 << 20;
/** HDF5 holds an attribute of fixed-size texts in an object header of 64 KiB; Keras splits longer lists, as this does. */
const attributeBytes = 64512;

const codes: readonly (readonly [new (n: number) => H5Array, string])[] = [
  [Float32Array, '<f'],
  [Float64Array, '<d'],
  [Int32Array, '<i'],
  [Uint32Array, '<I'],
  [Int8Array, '<b'],
  [Int16Array, '<h'],
  [Uint16Array, '<H'],
  [Uint8Array, '<B'],
  [BigInt64Array, '<q'],
];

let files = 0;

/** A file being written. Paths are separated by slashes; groups are made as they are needed. */
export class H5Writer {
  private readonly groups = new Map<string, Group>();
  private constructor(
    private readonly root: Group & { close(): number },
    private readonly drop: () => void,
  ) {
    this.groups.set('', root);
  }

  /** Starts a file in a sink, at a position of it. */
  static async create(sink: Sink, base = 0): Promise<H5Writer> {
    const library = (await import('h5wasm')) as unknown as Library;
    const M = await library.ready;
    M.activate_throwing_error_handler();
    const name = `tenon-${files++}.h5`;
    const node = M.FS.createFile('/', name, {}, true, true);
    let size = 0;
    node.contents = null;
    Object.defineProperty(node, 'usedBytes', { get: () => size, set: (n: number) => (size = n), configurable: true });
    const bytes = (b: Uint8Array, offset: number, length: number) => new Uint8Array(b.buffer, b.byteOffset + offset, length);
    node.stream_ops = {
      ...node.stream_ops,
      read: (_: Stream, buffer: Uint8Array, offset: number, length: number, position: number) =>
        position >= size ? 0 : sink.read(bytes(buffer, offset, Math.min(length, size - position)), base + position),
      write: (_: Stream, buffer: Uint8Array, offset: number, length: number, position: number) => {
        sink.write(bytes(buffer, offset, length), base + position);
        size = Math.max(size, position + length);
        return length;
      },
      llseek: (stream: Stream, offset: number, whence: number) => {
        const at = whence === 1 ? offset + stream.position : whence === 2 ? offset + size : offset;
        if (at < 0) throw new M.FS.ErrnoError(28);
        return at;
      },
    };
    const setattr = node.node_ops.setattr as ((n: Node, a: { size?: number }) => void) | undefined;
    node.node_ops = {
      ...node.node_ops,
      setattr: (n: Node, a: { size?: number }) => {
        const { size: wanted, ...rest } = a;
        setattr?.(n, rest);
        if (wanted === undefined) return;
        size = wanted;
        sink.truncate(base + wanted);
      },
    };
    // as h5py does: the oldest structures that hold what is written, which every HDF5 library reads
    return new H5Writer(new library.File(name, 'w', { libver: ['earliest', 'latest'] }), () => M.FS.unlink(`/${name}`));
  }

  private group(path: string): Group {
    const old = this.groups.get(path);
    if (old) return old;
    const cut = path.lastIndexOf('/');
    const made = this.group(cut < 0 ? '' : path.slice(0, cut)).create_group(path.slice(cut + 1));
    this.groups.set(path, made);
    return made;
  }
  /** Makes a group where there is none. */
  makeGroup(path: string): void {
    this.group(path);
  }

  text(group: string, name: string, value: string): void {
    this.group(group).create_attribute(name, value);
  }

  /** A list of texts, split as Keras does it when it is long. */
  texts(group: string, name: string, values: readonly string[]): void {
    const g = this.group(group);
    if (values.length === 0) {
      g.create_attribute(name, new Float64Array(0), [0], '<f8');
      return;
    }
    const width = Math.max(...values.map((v) => new TextEncoder().encode(v).byteLength), 1);
    if (width > attributeBytes)
      throw new ModelFormatError(`the name '${values.find((v) => v.length * 4 > attributeBytes)?.slice(0, 80)}…' is too long for an HDF5 file`);
    const put = (key: string, part: readonly string[]) => g.create_attribute(key, [...part], [part.length], `S${width}`);
    if (width * values.length <= attributeBytes) {
      put(name, values);
      return;
    }
    const each = Math.floor(attributeBytes / width);
    for (let i = 0; i * each < values.length; i++) put(`${name}${i}`, values.slice(i * each, (i + 1) * each));
  }

  /** An array at a path such as `dense/kernel:0` below a group. */
  array(group: string, name: string, shape: readonly number[], data: H5Array): void {
    const path = group === '' ? name : `${group}/${name}`;
    const cut = path.lastIndexOf('/');
    const g = this.group(cut < 0 ? '' : path.slice(0, cut));
    const own = path.slice(cut + 1);
    const dtype = codes.find(([type]) => data instanceof type)?.[1];
    if (!dtype) throw new ModelFormatError(`${path}: ${data.constructor.name} cannot be written to an HDF5 file`);
    const elements = shape.reduce((a, d) => a * d, 1);
    if (elements !== data.length) throw new ModelFormatError(`${path}: the shape [${shape.join(',')}] has ${elements} elements, the array ${data.length}`);
    if (data.byteLength <= wholeBytes || shape.length === 0) {
      g.create_dataset({ name: own, data, shape: [...shape], dtype });
      return;
    }
    const axis = shape.findIndex((d) => d > 1);
    const entry = data.length / shape[axis]!;
    const rows = Math.max(1, Math.min(shape[axis]!, Math.floor(sliceBytes / data.BYTES_PER_ELEMENT / entry)));
    const chunks = shape.map((d, a) => (a === axis ? rows : d));
    const empty = data.subarray(0, 0) as H5Array;
    const dataset = g.create_dataset({ name: own, data: empty, shape: shape.map((d, a) => (a === axis ? 0 : d)), dtype, maxshape: [...shape], chunks });
    dataset.resize([...shape]);
    for (let from = 0; from < shape[axis]!; from += rows) {
      const to = Math.min(shape[axis]!, from + rows);
      dataset.write_slice(
        shape.map((d, a): [number, number] => (a === axis ? [from, to] : [0, d])),
        data.subarray(from * entry, to * entry) as H5Array,
      );
    }
  }

  /** Writes what is left. The sink stays open. */
  close(): void {
    try {
      this.root.close();
    } finally {
      this.drop();
    }
  }
}
