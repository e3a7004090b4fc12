/** Lets a class be called with or without `new`: `Dense(10)` and `new Dense(10)` are the same, as in Keras. */

type AnyClass = abstract new (...args: never[]) => object;

/** A class that may also be called as a function. */
export type Callable<C extends AnyClass> = C & ((...args: ConstructorParameters<C>) => InstanceType<C>);

/** Wraps a class; `instanceof`, statics and subclassing work on the result as on the class. */
export function callable<C extends AnyClass>(cls: C): Callable<C> {
  return new Proxy(cls, {
    apply: (target, _self, args: unknown[]) => Reflect.construct(target as unknown as new (...a: unknown[]) => object, args) as object,
  }) as Callable<C>;
}
