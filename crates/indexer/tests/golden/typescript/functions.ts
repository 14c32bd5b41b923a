/** Takes a string. */
export function over(a: string): void;
/** Takes a number. */
export function over(a: number): void;
export function over(a: any) {}

/** Declared elsewhere. */
declare function elsewhere(x: number): asserts x is 1;
export declare class Declared { method(): void; }
declare const notOne: () => void;
let neither: (a: number) => void;

declare module 'some-module' {
  /** In a module. */
  export function inModule(): void;
  export default function named(): void;
}
declare global {
  interface Window { own: () => void }
}

/** Generic. */
export const identity = <T,>(x: T): x is string => true;
const cast = ((a) => a) as unknown as Fn, satisfied = (() => {}) satisfies Fn;
export const table = {
  first: <T>(x: T) => x,
  async *second(): AsyncGenerator<number> {},
} as const;
function* generator(this: Window): Generator<number> { yield 1; }
const typed: Record<string, () => void> = { inTyped: () => {} };
export = function () {};
