/**
 * Simplification: all rewrite rules, constant folding, common subexpressions and dead code, to a fixed point, in sub-graphs too. Needs decomposed graphs (composites are left
 * alone); leaves graphs of stage `simplified`.
 */
import type { Graph } from '../ir/graph.js';
import { type RewriteOptions, RuleSet, rewrite } from './rewrite.js';
import { arithmeticRules } from './rules/arithmetic.js';
import { contractionRules } from './rules/contraction.js';
import { padRules } from './rules/pads.js';
import { reduceRules } from './rules/reduce.js';
import { selectRules } from './rules/select.js';
import { shapeRules } from './rules/shape.js';

export const simplifyRules = new RuleSet([...arithmeticRules, ...shapeRules, ...selectRules, ...reduceRules, ...contractionRules, ...padRules]);

export const simplify = (graph: Graph, options: RewriteOptions = {}): Graph => rewrite(graph, simplifyRules, options);
