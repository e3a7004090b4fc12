/** Checks of inputs that layers share. */
import { ShapeError, ValueError } from '../../../ir/errors.js';
import { type KerasDim, type KerasShape, kerasShapeText, listOf, type SymbolicTensor, type Tensors } from '../backend/trace.js';
import type { InputShape, Layer } from './layer.js';

/** The single tensor that a layer with one input wants. */
export function single(inputs: Tensors, layer: Layer): SymbolicTensor {
  const list = listOf(inputs);
  if (list.length !== 1) throw new ValueError(`${layer.name}: ${layer.className} takes one input, got ${list.length}`);
  return list[0]!;
}

/** The shape of a layer with one input. */
export function singleShape(shape: InputShape, layer: Layer): KerasShape {
  if (shape.length > 0 && Array.isArray(shape[0])) {
    if (shape.length !== 1) throw new ValueError(`${layer.name}: ${layer.className} takes one input, got ${shape.length}`);
    return shape[0] as KerasShape;
  }
  return shape as KerasShape;
}

/** A dimension that must be known, such as the number of features. */
export function knownDim(layer: Layer, shape: KerasShape, axis: number): number {
  const d: KerasDim | undefined = shape.at(axis);
  if (d === undefined || d === null) throw new ShapeError(`${layer.name}: axis ${axis} of the input must be known, got shape ${kerasShapeText(shape)}`);
  return d;
}

/** The input must have this rank. */
export function checkRank(layer: Layer, shape: KerasShape, rank: number, wanted: string): void {
  if (shape.length !== rank)
    throw new ShapeError(`${layer.name}: ${layer.className} expects an input of rank ${rank} ${wanted}, got shape ${kerasShapeText(shape)}`);
}
