/** Classes that are called with or without `new` (`Dense(10)` and `new Dense(10)` are the same, as in Keras), and objects that are functions. */

type AnyClass = abstract new (...args: never[]) => object;

/** A class that may also be called as a function. */
export type Callable<C extends AnyClass> = C & ((...args: ConstructorParameters<C>) => InstanceType<C>);

/** Wraps a class; `instanceof`, statics and subclassing work on the result as on the class. */
export function callable<C extends AnyClass>(cls: C): Callable<C> {
  return new Proxy(cls, {
    apply: (target, _self, args: unknown[]) => Reflect.construct(target as unknown as new (...a: unknown[]) => object, args) as object,
  }) as Callable<C>;
}

/** Whether x is a class (wrapped or not) of which instances are objects of `base`: Keras takes classes where it takes instances, too. */
export const isClassOf = (x: unknown, base: AnyClass): x is new (...args: unknown[]) => object =>
  typeof x === 'function' && typeof x.prototype === 'object' && x.prototype instanceof base;

/** An object that is a function: calling it calls its `apply`. */
export class CallableObject {
  constructor() {
    const self = ((...args: never[]) => (self as unknown as { apply(...given: never[]): unknown }).apply(...args)) as unknown as this;
    Object.setPrototypeOf(self, new.target.prototype as object);
    // biome-ignore lint/correctness/noConstructorReturn: an instance is a function
    return self;
  }
}
