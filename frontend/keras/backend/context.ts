/** What is being called at the moment: the trace and the layer whose `call` or `build` runs. It lets a call read variables alone, and names weights below the layer that holds theirs. */
import { withOn } from '../utils/scope.js';
import type { Trace } from './trace.js';

interface Frame {
  readonly trace: Trace | null;
  readonly layer: object | null;
}

/** Innermost last. */
const frames: Frame[] = [];

/** Runs `body` with this trace and layer as the running ones, until its promise settles where it gives one. */
export const within = <T>(trace: Trace | null, layer: object | null, body: () => T): T => withOn(frames, { trace: trace ?? runningTrace(), layer }, body);

/** The trace of the running call; null outside of calls. */
export const runningTrace = (): Trace | null => frames.at(-1)?.trace ?? null;
/** The layer whose call or build is running. */
export const runningLayer = (): object | null => frames.at(-1)?.layer ?? null;
