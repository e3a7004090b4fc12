/** Errors of the runtime. A message says what is wrong, where (program, input, kernel, file), what was expected and found, and a way out. */

/** Base class of all errors that the runtime throws on purpose. */
export class TenonRuntimeError extends Error {
  override name = 'TenonRuntimeError';
}

/** A plan, artefact or weights file is malformed, or its files do not belong together. */
export class ModelFormatError extends TenonRuntimeError {
  override name = 'ModelFormatError';
}

/** A call with a wrong argument: an unknown name, a missing input, data of a wrong size or dtype, a symbol out of range. */
export class ArgumentError extends TenonRuntimeError {
  override name = 'ArgumentError';
}

/** No such device here, or the device reported an error. */
export class DeviceError extends TenonRuntimeError {
  override name = 'DeviceError';
}

/** The device was lost (driver reset, GPU removed, page in the background for too long): what it held is gone. Open a new one and load again. */
export class DeviceLostError extends DeviceError {
  override name = 'DeviceLostError';
}

/** The device ran out of memory. */
export class OutOfMemoryError extends DeviceError {
  override name = 'OutOfMemoryError';
}

/** A plan needs more than the device's limits or features allow. */
export class LimitError extends DeviceError {
  override name = 'LimitError';
}

/** Use of a device, session, plan or array after its dispose(). */
export class DisposedError extends TenonRuntimeError {
  override name = 'DisposedError';
}

/** A fault of Tenon itself: please report it. */
export class RuntimeInternalError extends TenonRuntimeError {
  override name = 'RuntimeInternalError';
  constructor(message: string) {
    super(`internal: ${message} (this is a bug in Tenon, please report it)`);
  }
}

/** The message of anything that was thrown. */
export const messageOf = (e: unknown): string => (e instanceof Error ? e.message : String(e));
