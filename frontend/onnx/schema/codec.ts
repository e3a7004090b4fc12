/** Bytes to messages and back. A decoder that fails throws FormatError with what the file was. */
import { ValueError } from '../../../ir/errors.js';
import { onnx } from './generated.js';
import type { Int64, ModelProto, TensorProto } from './types.js';

/** A file that is not what it says it is: truncated, contradictory, or beyond the limits. */
export class FormatError extends ValueError {
  override name = 'FormatError';
}

function decode<T>(what: string, codec: { decode(bytes: Uint8Array): T }, bytes: Uint8Array): T {
  try {
    return codec.decode(bytes);
  } catch (e) {
    throw new FormatError(`${what}: not a valid protobuf message (${e instanceof Error ? e.message : String(e)}); the file is damaged or is of another format`);
  }
}

export const decodeModel = (bytes: Uint8Array): ModelProto => decode('ONNX model', onnx.ModelProto, bytes);
export const decodeTensor = (bytes: Uint8Array): TensorProto => decode('ONNX tensor', onnx.TensorProto, bytes);
/** A copy of its own: the writer hands out parts of a larger buffer. */
export const encodeModel = (model: ModelProto): Uint8Array<ArrayBuffer> => new Uint8Array(onnx.ModelProto.encode(model).finish());
export const encodeTensor = (tensor: TensorProto): Uint8Array<ArrayBuffer> => new Uint8Array(onnx.TensorProto.encode(tensor).finish());

/** A 64-bit integer, exact. */
export function bigOf(x: Int64 | null | undefined): bigint {
  if (x === null || x === undefined) return 0n;
  if (typeof x === 'number') return BigInt(x);
  const u = (BigInt(x.high >>> 0) << 32n) | BigInt(x.low >>> 0);
  return x.unsigned ? u : BigInt.asIntN(64, u);
}

/** A 64-bit integer as a number; beyond 2^53 the nearest one. */
export const intOf = (x: Int64 | null | undefined): number => (typeof x === 'number' ? x : Number(bigOf(x)));

const utf8 = new TextDecoder('utf-8');
export const textOf = (bytes: Uint8Array | null | undefined): string => (bytes ? utf8.decode(bytes) : '');
