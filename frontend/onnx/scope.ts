/** Names of a graph, a subgraph or a function body, and the values that they stand for. */
import type { GraphBuilder } from '../../ir/builder.js';
import { UnsupportedError } from '../../ir/errors.js';
import type { Value } from '../../ir/graph.js';
import type { Importer } from './import.js';
import { type Item, Nothing, Sequence } from './registry.js';
import { FormatError } from './schema/codec.js';
import type { AttributeProto } from './schema/types.js';

/** The value of a node that could not be lowered; why is recorded elsewhere. */
export class Broken {}
/** Thrown where a broken value is met: the node is skipped. */
export class Skipped extends Error {}

/** Names and what they stand for. A body of If, Loop or Scan has a builder of its own; what it takes from outside becomes an operand. */
export class Scope {
  private readonly names = new Map<string, Item | Broken>();
  /** Values of outer builders and the inputs of this builder that stand for them, in order. */
  readonly captured: { readonly outer: Value; readonly inner: Value }[] = [];
  private readonly captures = new Map<Value, Value>();

  constructor(
    readonly importer: Importer,
    readonly builder: GraphBuilder,
    readonly parent: Scope | null,
    readonly opsets: ReadonlyMap<string, number>,
    /** Attributes of the function call that this is the body of. */
    readonly attributes: ReadonlyMap<string, AttributeProto> | null,
    readonly calls: readonly string[],
  ) {}

  /** A scope for a subgraph, in this builder or in one of its own. */
  child(builder: GraphBuilder = this.builder): Scope {
    return new Scope(this.importer, builder, this, this.opsets, this.attributes, this.calls);
  }

  define(name: string, item: Item | Broken, where: string): void {
    if (this.names.has(name)) throw new FormatError(`${where}: the name '${name}' is defined twice`);
    this.names.set(name, item);
  }

  find(name: string): Item | Broken | undefined {
    const own = this.names.get(name);
    if (own !== undefined || !this.parent) return own;
    const outer = this.parent.find(name);
    if (outer === undefined || outer instanceof Broken || outer instanceof Nothing || this.builder === this.parent.builder) return outer;
    return outer instanceof Sequence ? new Sequence(outer.items.map((v) => this.capture(v))) : this.capture(outer);
  }

  /** The value of this builder that stands for one of the parent's. */
  capture(outer: Value): Value {
    const old = this.captures.get(outer);
    if (old) return old;
    const p = outer.producer;
    let inner: Value;
    if (p?.op === 'constant') inner = this.builder.constant(p.attrs.value);
    else if (p?.op === 'dim_size') inner = this.builder.emit('dim_size', [], p.attrs);
    else {
      if (this.importer.padding.has(outer)) throw new UnsupportedError('a subgraph uses a tensor whose size depends on the data');
      inner = this.builder.input(`captured${this.captured.length}`, outer.dtype, outer.shape);
      this.captured.push({ outer, inner });
      this.importer.outerOf.set(inner, outer);
    }
    this.captures.set(outer, inner);
    return inner;
  }
}
