/** Things that hold while a function runs, such as the running trace or the names of custom objects. */

/**
 * Runs `body` with `item` on the stack, until its promise settles where it gives one. The item is taken out by identity, since an asynchronous call ends after others that began later.
 */
export function withOn<I, T>(stack: I[], item: I, body: () => T): T {
  stack.push(item);
  const leave = () => {
    stack.splice(stack.indexOf(item), 1);
  };
  let result: T;
  try {
    result = body();
  } catch (e) {
    leave();
    throw e;
  }
  if (result instanceof Promise) return result.finally(leave) as T;
  leave();
  return result;
}
