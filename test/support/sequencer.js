const { default: Sequencer } = require("@jest/test-sequencer");

const ORDER = ["load", "cluster", "docker", "unit"];

/** Begins with the kinds of tests that take longest, so that no worker is left with a long suite at the end; within a kind, as Jest does. */
module.exports = class extends Sequencer {
  sort(tests) {
    const rank = ({ context }) => ORDER.indexOf(context.config.displayName?.name);
    return super.sort(tests).sort((a, b) => rank(a) - rank(b));
  }
};
