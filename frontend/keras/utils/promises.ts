/** Code that runs at once where nothing is awaited, and asynchronously where a promise turns up: eager mode lets a layer's call be either. */

/** `next(x)`, now or when the promise is fulfilled. */
export function after<T, R>(x: T | Promise<T>, next: (x: T) => R): R | Promise<Awaited<R>> {
  return x instanceof Promise ? (x.then(next) as Promise<Awaited<R>>) : next(x);
}

/** Runs a generator that yields what may be promises, and gets their values. */
export function drive<Y, R>(steps: Generator<Y | Promise<Y>, R, Y>, from: IteratorResult<Y | Promise<Y>, R> = steps.next()): R | Promise<R> {
  let at = from;
  while (!at.done) {
    const { value } = at;
    if (value instanceof Promise) return value.then((v) => drive(steps, steps.next(v)));
    at = steps.next(value);
  }
  return at.value;
}
