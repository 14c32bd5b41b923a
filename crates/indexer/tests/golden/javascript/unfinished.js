/** Whole. */
function whole() { return 1; }

class Open {
  method() { return 1; }
  broken( {
}

function after() {}

const half = (a, b) => {
  if (a) {
