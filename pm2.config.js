// For `pm2 start pm2.config.js`. Settings come from the DS_* variables of the shell that starts it, or from a file that one of
// them names: DS_CONFIG=/path/of/it.json.
const os = require("node:os");
const path = require("node:path");

const home = process.env.PM2_HOME || path.join(os.homedir(), ".pm2");
// As long as the server gives requests under way, and a little for its logs.
const stopTimeout = (Number(process.env.DS_STOP_TIMEOUT) || 30) * 1000 + 5000;

module.exports = {
  apps: [
    {
      name: "docker-server",
      script: path.join(__dirname, "dist/bin/docker-server.js"),
      // The server's own logs are then in `logs` beside those of pm2, unless DS_LOG_DIR says otherwise.
      cwd: home,
      // It rotates its logs itself; pm2 would write the same lines without end. `pm2 logs` shows them all the same.
      out_file: "/dev/null",
      // Cluster mode for reloads without a gap. One instance serves a whole machine; of more, each would count bursts by itself.
      exec_mode: "cluster",
      instances: 1,
      wait_ready: true,
      listen_timeout: 20_000,
      kill_timeout: stopTimeout,
      // Wrong settings: starting again would not help.
      stop_exit_codes: [2],
      // A stop is the server's alone: docker commands under way come to their end.
      treekill: false,
    },
  ],
};
