/**
 * With carriage returns.
 */
function first() {
  return 1;
}

// One,
// two.
const second = () => {
  return 2;
};

export default {
  data() { return {}; },
  methods: {
    // Saves.
    async save() {},
  },
};
