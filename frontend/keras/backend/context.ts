/** What is being called at the moment: the trace and the layer whose `call` or `build` runs. It lets a call read variables alone, and names weights below the layer that holds theirs. */
import type { Trace } from './trace.js';

interface Frame {
  readonly trace: Trace | null;
  readonly layer: object | null;
}

/** Innermost last. Frames are taken out by identity, since an asynchronous call ends after others that began later. */
const frames: Frame[] = [];

/** Runs `body` with this trace and layer as the running ones, until its promise settles where it gives one. */
export function within<T>(trace: Trace | null, layer: object | null, body: () => T): T {
  const frame: Frame = { trace: trace ?? runningTrace(), layer };
  frames.push(frame);
  const leave = () => {
    frames.splice(frames.indexOf(frame), 1);
  };
  let result: T;
  try {
    result = body();
  } catch (e) {
    leave();
    throw e;
  }
  if (result instanceof Promise) return result.finally(leave) as T;
  leave();
  return result;
}

/** The trace of the running call; null outside of calls. */
export const runningTrace = (): Trace | null => frames.at(-1)?.trace ?? null;
/** The layer whose call or build is running. */
export const runningLayer = (): object | null => frames.at(-1)?.layer ?? null;
