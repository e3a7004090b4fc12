/** `epsilon`: the small number of Keras' formulas, which keeps logarithms and quotients finite. */
import { ValueError } from '../../../ir/errors.js';
import { describe } from '../utils/options.js';

let fuzz = 1e-7;
export const epsilon = (): number => fuzz;
/** Sets it for losses, metrics and formulas that are traced from now on. Default 1e-7. */
export function setEpsilon(value: number): void {
  if (!(Number.isFinite(value) && value > 0)) throw new ValueError(`backend.setEpsilon: expected a positive number, got ${describe(value)}`);
  fuzz = value;
}
