import type { RunSpec } from "../../../lib/docker/create/run-spec";

/** A container `n` of the image busybox without any option. */
export const PLAIN_RUN_SPEC: RunSpec = {
  name: "n",
  image: "busybox",
  remove: false,
  env: {},
  labels: {},
  ports: [],
  volumes: {},
  tmpfs: {},
  pull: "missing",
  init: false,
  read_only: false,
  cap_add: [],
  cap_drop: [],
  ulimits: {},
  privileged: false,
  devices: [],
};
