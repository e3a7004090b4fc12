/**
 * The text form of constants: small ones inline (`float32[2,2](1,2,3,4)`), big ones by reference (`float32[512,512]#0`) into a side table. float32
 * elements print with as few digits as give the same float32 again.
 */
import { numberText, parseNumber } from './attr-text.js';
import { type DType, dtypes, hostArray, isWide, wideLimitsOf } from './dtype.js';
import { didYouMean, ValueError } from './errors.js';
import { sizeOf, type TensorData, tensorData } from './tensor-data.js';

/** Constants of more elements than this go to the side table. */
const inlineElements = 32;

function elementText(x: number | bigint, dtype: DType): string {
  if (typeof x === 'bigint') return String(x);
  if (dtype !== 'float32' || !Number.isFinite(x) || Number.isInteger(x)) return numberText(x);
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(x.toPrecision(digits));
    if (Math.fround(short) === x) return numberText(short);
  }
  return numberText(Number(x.toPrecision(9)));
}

/** Prints constants; those that are too big to print inline are appended to `table`, once each. */
export function tensorText(t: TensorData, table: TensorData[]): string {
  const type = `${t.dtype}[${t.shape.join(',')}]`;
  if (t.data.length <= inlineElements) return `${type}(${Array.from<number | bigint, string>(t.data, (x) => elementText(x, t.dtype)).join(',')})`;
  let at = table.indexOf(t);
  if (at < 0) at = table.push(t) - 1;
  return `${type}#${at}`;
}

export const isDType = (t: string): t is DType => dtypes.some((d) => d === t);

/** A tensor type without symbols: dtype and shape. */
function staticType(text: string): { dtype: DType; shape: number[] } {
  const m = /^(\w+)\[([\d,]*)\]$/.exec(text);
  if (!m || !isDType(m[1]!)) throw new ValueError(`'${text}' is not the type of a constant, such as float32[2,3].${m ? didYouMean(m[1]!, dtypes) : ''}`);
  return { dtype: m[1], shape: m[2] === '' ? [] : m[2]!.split(',').map(Number) };
}

function parseWide(text: string, dtype: 'int64' | 'uint64'): bigint {
  if (!/^\s*-?\d+\s*$/.test(text)) throw new ValueError(`'${text}' is not an integer`);
  const x = BigInt(text.trim());
  const [lowest, highest] = wideLimitsOf(dtype);
  if (x < lowest || x > highest) throw new ValueError(`${x} does not fit ${dtype}`);
  return x;
}

/** Inverse of tensorText. */
export function parseTensor(text: string, table: readonly TensorData[]): TensorData {
  const m = /^(\w+\[[\d,]*\])(?:#(\d+)|\(([^)]*)\))$/.exec(text);
  if (!m) throw new ValueError(`'${text}' is not a constant, such as float32[2](1,2) or float32[512]#0`);
  const { dtype, shape } = staticType(m[1]!);
  if (m[2] === undefined) {
    const elements = m[3] === '' ? [] : m[3]!.split(',');
    return tensorData(dtype, shape, isWide(dtype) ? elements.map((e) => parseWide(e, dtype)) : elements.map(parseNumber));
  }
  const t = table[Number(m[2])];
  if (!t) throw new ValueError(`the table has no constant #${m[2]} (it has ${table.length})`);
  if (t.dtype !== dtype || sizeOf(t.shape) !== sizeOf(shape) || t.shape.join() !== shape.join())
    throw new ValueError(`constant #${m[2]} is ${t.dtype}[${t.shape.join(',')}], the text says ${m[1]}`);
  return t;
}

/** A line of the side table: type and contents (bytes of the host array, base64). */
export function tableLine(t: TensorData, at: number): string {
  const bytes = new Uint8Array(t.data.buffer, t.data.byteOffset, t.data.byteLength);
  let binary = '';
  for (let i = 0; i < bytes.length; i += 8192) binary += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return `#${at} = ${t.dtype}[${t.shape.join(',')}] ${btoa(binary)}`;
}

/** Inverse of tableLine; gives the tensor only: lines come in order. */
export function parseTableLine(line: string): TensorData {
  const m = /^#\d+ = (\w+\[[\d,]*\]) ([A-Za-z0-9+/=]*)$/.exec(line);
  if (!m) throw new ValueError(`'${line.slice(0, 60)}' is not a line of the table of constants`);
  const { dtype, shape } = staticType(m[1]!);
  const bytes = Uint8Array.from(atob(m[2]!), (c) => c.charCodeAt(0));
  const data = hostArray(dtype, sizeOf(shape));
  if (bytes.length !== data.byteLength) throw new ValueError(`constant ${m[1]} of the table has ${bytes.length} bytes, expected ${data.byteLength}`);
  new Uint8Array(data.buffer).set(bytes);
  return tensorData(dtype, shape, data);
}
