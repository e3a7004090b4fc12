/** Stand-in of this first commit only. */
import { InternalError } from '../errors.js';
export const pendingEvaluate = (): never => {
  throw new InternalError('no reference evaluation yet');
};
