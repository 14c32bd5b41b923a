/** Whole. */
export class Whole<T> { method(): T { return null!; } }

export class Open {
  done() {}
  half(a: string

interface After { a: number }

export const last = async () => {
  const inner = () => 1;
