// About the file.

/** A shape. */
export interface Shape<T = {}> extends Base {
  area(): number;
  (x: number): string;
  new (x: number): Shape;
  callback: () => void;
}

/** A function type. */
type Fn<T> = (a: T) => void;
export type Keys = { [K in keyof Shape]: () => K };

/** Counts. */
export const enum Level { Low, High = 2 }
declare enum Ambient { One }

/** Abstract. */
export abstract class Store<T extends object> implements Shape {
  /** Left to others. */
  abstract open(): void;
  private readonly arrow = <U,>(x: U): U => x;
  declare field: number;
  static #cache?: Map<string, () => void>;

  /** Gets by a name. */
  get(name: string): T;
  get(name: number): T;
  /** Gets by anything. */
  get(name: any): T { return name as T; }

  /** Decorated. */
  @memoized()
  protected static async load(@Inject() path: string): Promise<void> {}
  constructor(private readonly x: number) {}
  get [Symbol.toStringTag]() { return 'Store'; }
  method?(): void;
}

/** Made by a framework. */
@Component({ selector: 'x', factory: () => 1 })
export class Widget {}

namespace Outer.Inner {
  /** In a namespace. */
  export function f() {}
  export namespace Deep { const g = () => 1; }
}
module Old {}

export default interface Preferred {}
