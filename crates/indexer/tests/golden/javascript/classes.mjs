/* Copyright somebody. License: some. */

/** A class. */
export class Plain extends Base(Mixed) {
  static #count = 0;
  /** Makes one. */
  constructor() {
    super();
    this.field = () => {};
  }
  /** Bound to the instance. */
  arrow = (event) => { const inner = () => event; };
  static make = function () {};
  #secret() {}
  static async *[Symbol.asyncIterator]() {}
  ['quoted name']() {}
  'string'() {}
  12() {}
  get value() { return 1; }
  // Sets it.
  set value(x) {}
  static { function inStatic() {} }
  [dynamic()]() {}
}

/** Decorated. */
@register
@tagged({ name: () => 1 })
export class Decorated {
  /** Logs. */
  @log method() {}
  @observed handler = () => {};
}

export @late class Late {}

/** Has no name. */
export default class {
  method() {}
}

const Bound = class Inner { method() {} };
exports.Assigned = class extends Bound { method() {} };
const Mixin = (Base) => class extends Base { mixed() {} };
function make() { return class Made { method() {} }; }
