const { default: Sequencer } = require("@jest/test-sequencer");

const ORDER = ["load", "cluster", "docker", "unit"];

/** Starts the slowest kinds of tests first, so that no long suite runs alone at the end; keeps the order of Jest within a kind. */
module.exports = class extends Sequencer {
  sort(tests) {
    const rank = ({ context }) => ORDER.indexOf(context.config.displayName?.name);
    return super.sort(tests).sort((a, b) => rank(a) - rank(b));
  }
};
