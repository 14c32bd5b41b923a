#!/usr/bin/env node
/** What the file is about. */
'use strict';

const fs = require('fs');

/** Adds two numbers. */
export function add(a, b) { return a + b; }

// Yields lines,
// one after the other.
export async function* lines(file) {
  function inner() { return 1; }
  const arrow = () => 2;
}

// Not about what follows: a blank line is between.

function* plain() {}

/** Says that it is the default. */
export default function () { return () => 1; }

// eslint-disable-next-line no-unused-vars
const one = () => 1, two = function named() { return named; };

/** Bound alone. */
let bound = async (x) => {
  const nested = () => x;
};
const asserted = ((((a) => a)));
var later;
later = function () {};

/** Exported the old way. */
exports.old = function () {};
module.exports.older = async () => {};
module.exports = function main() {};
module.exports = () => 'unnamed';
exports.first = exports.second = function () {};

/** Of a type. */
Stack.prototype.push = function push(x) {};
Stack.prototype = {
  /** Pops. */
  pop: function () {},
  peek() {},
};
Stack.of = () => new Stack();
a.b['c d'].e = () => {};
a[b] = () => {};
a[b] = function known() {};
f().g = () => {};
this.own = () => {};
window.shown ||= () => {};

export const handlers = {
  /** On a click. */
  click: () => 1,
  'key-down': function () {},
  [computed]: () => 1,
  ['literal']() {},
  [Symbol.iterator]: function* () {},
  [a + b]: () => 2,
  get size() { return 1; },
  set size(x) {},
  deeper: { still: { method() {} }, list: [() => 1, function listed() {}] },
  ...others,
};

(function iife() { function inside() {} })();
(function () { function alsoInside() {} })();
on('event', function handler() {});
on('event', () => { function called() {} });
label: function labelled() {}
const { x: y = () => {} } = z;
if (a) { function hoisted() {} }
