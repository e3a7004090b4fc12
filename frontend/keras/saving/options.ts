/** Options of saving and loading. */
import type { DeviceOption } from '../models/device-option.js';
import type { Semantics } from '../utils/serialization.js';

export interface SaveOptions {
  /** Which Keras the file is for, 2 or 3. Default: 2 for H5; for `.keras` and `.weights.h5` that of the model. */
  readonly keras?: 2 | 3;
  /** With what `compile` was given and the optimizer's state; default true. */
  readonly includeOptimizer?: boolean;
  /** The format by name, where the target's ending does not give it. */
  readonly format?: string;
  /** False: an error where there is a file already; default true. */
  readonly overwrite?: boolean;
}

/** Limits for files that may come from anywhere. */
export interface FileLimits {
  /** How long opening an HDF5 file or reading one array of it may take, in milliseconds. */
  readonly timeLimit?: number;
  /** Most bytes of all arrays; of `.keras` and npz archives, of all that they unpack to. Default: the size of the file, and 1 MB (HDF5) or 32 MB (archives). */
  readonly maxBytes?: number;
  /** Most groups and datasets. */
  readonly maxObjects?: number;
}

export interface LoadOptions extends FileLimits {
  /** Classes of layers, losses and metrics, and functions, that the file names and Keras does not have. */
  readonly customObjects?: Readonly<Record<string, unknown>>;
  /** Whether the model comes back compiled, with its optimizer's state; default true. */
  readonly compile?: boolean;
  /** Where the model runs when it is compiled. */
  readonly device?: DeviceOption;
  /** Which generation of Keras decides where results differ; default: the one that wrote the file. */
  readonly semantics?: Semantics;
  /** The name of a source that has none: its ending helps to tell the format. */
  readonly name?: string;
}

export interface LoadWeightsOptions extends FileLimits {
  /** Layers are found by their names, not by their order; layers that the file or the model lacks are left alone. H5 only. */
  readonly byName?: boolean;
  /** Layers whose weights do not fit are left as they are. */
  readonly skipMismatch?: boolean;
  readonly name?: string;
}
