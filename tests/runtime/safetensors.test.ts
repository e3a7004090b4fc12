import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ModelFormatError } from '../../runtime/errors.js';
import { type NamedTensor, readSafetensors, tensorAs, writeSafetensors } from '../../runtime/safetensors.js';

const utf8 = new TextEncoder();

/** A file with this header text and so many bytes of data. */
function file(header: string, dataBytes: number): Uint8Array {
  const head = utf8.encode(header);
  const out = new Uint8Array(8 + head.length + dataBytes);
  new DataView(out.buffer).setBigUint64(0, BigInt(head.length), true);
  out.set(head, 8);
  return out;
}
const entry = (begin: number, end: number, shape: number[] = [(end - begin) / 4], dtype = 'F32') => ({ dtype, shape, data_offsets: [begin, end] });
const refuses = (bytes: Uint8Array, pattern: RegExp, limits = {}) =>
  assert.throws(
    () => readSafetensors(bytes, 'w.safetensors', limits),
    (e: unknown) => e instanceof ModelFormatError && pattern.test(e.message),
  );

const tensors: NamedTensor[] = [
  { name: 'dense/kernel', dtype: 'float32', shape: [2, 3], data: new Float32Array([1, 2, 3, 4, 5, 6]) },
  { name: 'mask', dtype: 'bool', shape: [3], data: new Uint8Array([1, 0, 1]) },
  { name: 'steps', dtype: 'int32', shape: [], data: new Int32Array([-7]) },
  { name: '__proto__', dtype: 'float64', shape: [1], data: new Float64Array([Math.PI]) },
  { name: 'half', dtype: 'float16', shape: [2], data: new Float32Array([0.5, -2]) },
  { name: 'empty', dtype: 'uint8', shape: [0, 4], data: new Uint8Array(0) },
];

test('what is written is read, and widths are aligned', () => {
  const bytes = writeSafetensors(tensors, { format: 'tenon' });
  const read = readSafetensors(bytes);
  assert.is(read.metadata.get('format'), 'tenon');
  assert.is(read.tensors.size, tensors.length);
  for (const t of tensors) {
    const e = read.tensors.get(t.name)!;
    assert.equal([...e.shape], [...t.shape]);
    assert.equal(tensorAs(e, t.dtype, t.name), t.data);
    if (e.bytes.length > 0) assert.is((e.bytes.byteOffset - bytes.byteOffset) % (t.data.BYTES_PER_ELEMENT > 4 ? 8 : 1), 0);
  }
  assert.is(({} as { dtype?: string }).dtype, undefined);
});

test('bfloat16 widens; other dtypes must match', () => {
  const bytes = file(JSON.stringify({ b: entry(0, 4, [2], 'BF16'), i: entry(4, 12, [1], 'I64') }), 12);
  bytes.set([0xc0, 0x3f, 0x00, 0xc0], bytes.length - 12);
  const { tensors: t } = readSafetensors(bytes);
  assert.equal([...tensorAs(t.get('b')!, 'float32', 'b')], [1.5, -2]);
  assert.throws(() => tensorAs(t.get('i')!, 'int32', "w.safetensors, 'i'"), /w\.safetensors, 'i': expected int32, the file holds I64/);
});

test('malformed files are refused by cause', () => {
  refuses(new Uint8Array(7), /7 bytes are too few/);
  refuses(
    file('{}', 0).map((b, i) => (i === 6 ? 1 : b)),
    /larger than the limit of 100000000/,
  );
  refuses(
    file('{}', 0).map((b, i) => (i === 0 ? 50 : b)),
    /runs past the end/,
  );
  refuses(file('{"a"', 0), /not JSON/);
  refuses(file('[]', 0), /not a JSON object/);
  refuses(file('{"a":3}', 0), /'a' is not an object/);
  refuses(file('{"__metadata__":{"a":1}}', 0), /metadata 'a' is not a string/);
  refuses(file(JSON.stringify({ a: entry(0, 4, [1], 'F128') }), 4), /unknown dtype "F128"/);
  refuses(file(JSON.stringify({ a: entry(0, 4, [1], 'constructor') }), 4), /unknown dtype/);
  refuses(file(JSON.stringify({ a: entry(0, 8, [-2]) }), 8), /shape of tensor 'a'/);
  refuses(file(JSON.stringify({ a: entry(0, 8, [2 ** 40, 2 ** 40]) }), 8), /has \d.* bytes, its place has 8/);
  refuses(file(JSON.stringify({ a: entry(0, 8, [1]) }), 8), /F32\[1\] has 4 bytes, its place has 8/);
  refuses(file(JSON.stringify({ a: entry(0, 8) }), 4), /lies at bytes 0 to 8, the file has 4/);
  refuses(file(JSON.stringify({ a: entry(4, 0, [0]) }), 4), /lies at bytes 4 to 0/);
  refuses(file(JSON.stringify({ a: entry(4, 8) }), 8), /4 bytes before tensor 'a' belong to no tensor/);
  refuses(file(JSON.stringify({ a: entry(0, 8), b: entry(4, 12) }), 12), /'b' overlaps/);
  refuses(file(JSON.stringify({ a: entry(0, 8) }), 12), /4 bytes after the last tensor/);
  refuses(file(`{"a":${JSON.stringify(entry(0, 4))},"\\u0061":${JSON.stringify(entry(0, 4))}}`, 4), /the name 'a' occurs twice/);
  refuses(file(`{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4), /the name 'dtype' occurs twice/);
  refuses(file(JSON.stringify({ a: entry(0, 4), b: entry(4, 8), c: entry(8, 12) }), 12), /3 tensors are more than the limit of 1/, { maxTensors: 1 });
});

test('mutated and random files give our errors only', () => {
  const good = writeSafetensors(tensors, { format: 'tenon' });
  const attempt = (bytes: Uint8Array) => {
    try {
      for (const [name, t] of readSafetensors(bytes).tensors) tensorAs(t, 'float32', name);
    } catch (e) {
      if (!(e instanceof ModelFormatError)) throw e;
    }
  };
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 }), (edits) => {
      const bytes = good.slice();
      for (const [at, v] of edits) bytes[at] = v;
      attempt(bytes);
    }),
    { numRuns: 3000, seed: 5 },
  );
  fc.assert(
    fc.property(fc.nat(good.length), (n) => attempt(good.subarray(0, n))),
    { numRuns: 300, seed: 5 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.string(), (data, text) => {
      attempt(data);
      attempt(file(text, data.length));
    }),
    { numRuns: 2000, seed: 5 },
  );
});

test('the writer refuses what does not fit', () => {
  assert.throws(() => writeSafetensors([{ ...tensors[0]!, shape: [4] }]), /has 4 elements, its data 6/);
  assert.throws(() => writeSafetensors([tensors[0]!, tensors[0]!]), /two tensors are named 'dense\/kernel'/);
});

test.run();
