/** What the readers and writers here use of generated.js. */
import type { BundleEntry, BundleHeader, SavedMetadata, SavedModel, TrackableObjectGraph } from './messages.js';

interface Codec<T> {
  decode(bytes: Uint8Array): T;
  encode(message: T): { finish(): Uint8Array };
}
export const tensorflow: {
  readonly BundleHeader: Codec<BundleHeader>;
  readonly BundleEntry: Codec<BundleEntry>;
  readonly TrackableObjectGraph: Codec<TrackableObjectGraph>;
  readonly SavedMetadata: Codec<SavedMetadata>;
  readonly SavedModel: Codec<SavedModel>;
};
