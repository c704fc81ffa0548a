import { Confinement } from "../../../../lib/docker/containers/confinement";
import type { ContainerList } from "../../../../lib/docker/containers/container-list";
import type { Engine } from "../../../../lib/docker/engine";

const NETWORKS = [
  { Id: "aa11", Name: "front", Labels: { team: "a" } },
  { Id: "aa22", Name: "back", Labels: null },
  { Id: "bb33", Name: "aa11", Labels: { team: "b" } },
  { Id: "cc44", Name: "aa", Labels: {} },
];
const engine = { call: async (work: (docker: object) => unknown) => work({ listNetworks: async () => NETWORKS }) } as unknown as Engine;
const confinement = new Confinement(engine, {} as ContainerList);

test.each([
  ["its name", "back", {}, "aa22"],
  ["its id, though it is the name of another", "aa11", {}, "aa11"],
  ["its name, though ids begin with it", "aa", {}, "cc44"],
  ["first digits of its id alone", "bb", {}, "bb33"],
  ["its name among those of the client", "aa11", { team: "b" }, "bb33"],
  ["digits that of the client's networks only one has", "a", { team: "a" }, "aa11"],
])("a network is found by %s", async (_how, name, labels, id) => {
  expect(await confinement.networkId(name, labels)).toBe(id);
});

test.each([
  ["digits of several ids", "a", {}],
  ["another client's name", "back", { team: "a" }],
  ["nothing", "", {}],
])("a network is not found by %s", async (_how, name, labels) => {
  await expect(confinement.networkId(name, labels)).rejects.toMatchObject({ code: "INVALID_SPEC", details: { field: "network" } });
});
