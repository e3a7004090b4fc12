/** What the rest of the importer uses of generated.js. */
import type { ModelProto, TensorProto } from './types.js';

interface Codec<T> {
  decode(bytes: Uint8Array): T;
  encode(message: T): { finish(): Uint8Array };
}
export const onnx: { readonly ModelProto: Codec<ModelProto>; readonly TensorProto: Codec<TensorProto> };
