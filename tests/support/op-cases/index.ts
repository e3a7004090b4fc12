/** Every function of ops on fixed numbers: its arguments, the call, and what it must give. */
import { controlCases } from './control.js';
import { mathCases } from './math.js';
import { matricesCases } from './matrices.js';
import { networksCases } from './networks.js';
import type { OpCases } from './operands.js';
import { shapesCases } from './shapes.js';

export const cases: OpCases = { ...mathCases, ...shapesCases, ...networksCases, ...matricesCases, ...controlCases };
