import { Access } from "../../../../lib/access/access";
import {
  IGNORED_IN_CREATE_QUERY,
  judgeBuildQuery,
  judgeCommitQuery,
  judgeImageCreateQuery,
} from "../../../../lib/docker-api/bodies/image-queries";
import { parseQuery } from "../../../../lib/docker-api/bodies/query";
import { accessOf } from "../../../support/unit/access-parts";

const context = (allow: string[] = [], access = Access.full) => ({ policy: { allow, bindRoots: [], sockets: [] }, access });
const refusal = (details: object, status = 403) => expect.objectContaining({ status, details: expect.objectContaining(details) });

describe("parseQuery", () => {
  const read = (search: string) => [...parseQuery(search, ["name", "t"], { repeated: ["t"], ignored: ["Image"] })];

  test("parameters that are known are read", () => {
    expect(read("?name=a%2Fb+c&t=1&t=2&Image=x&&")).toEqual([
      ["name", "a/b c"],
      ["t", "1"],
      ["t", "2"],
    ]);
    expect(read("")).toEqual([]);
    expect(read("name")).toEqual([["name", ""]]);
  });

  test.each([
    "name=a&name=a",
    "name=a&n%61me=b",
    "Name=a",
    "na\u017fe=a",
    "other=1",
    "=1",
    "name=%ff",
    "name=%",
    "name=%00",
    "name%00=1",
    "name=a;t=b;x=1&x=2",
  ])("%s is refused", (search) => {
    expect(() => read(search)).toThrow(expect.objectContaining({ status: 400 }));
  });

  test("of a parameter that docker-py sends twice the first value is read, as engines do it", () => {
    expect([...parseQuery("?dockerfile=a&t=x&dockerfile=b", ["dockerfile", "t"], { firstCounts: ["dockerfile"] })]).toEqual([
      ["dockerfile", "a"],
      ["t", "x"],
    ]);
  });

  test("dockerode's create, with its body in the query too, is read", () => {
    const search = "?name=x&Image=busybox&Cmd=a&Cmd=b&HostConfig=%7B%7D&NetworkingConfig=&Tty=false";
    expect([...parseQuery(search, ["name", "platform"], { ignored: IGNORED_IN_CREATE_QUERY })]).toEqual([["name", "x"]]);
  });
});

describe("judgeBuildQuery", () => {
  const judge = (query: Record<string, string>, allow?: string[], access?: Access) =>
    Object.fromEntries(judgeBuildQuery(new URLSearchParams(query), context(allow, access)));

  test("what the CLI sends for the classic builder passes", () => {
    const query = {
      buildargs: '{"A":null,"B":"1"}',
      cachefrom: "[]",
      cgroupparent: "",
      cpuperiod: "0",
      dockerfile: "Dockerfile",
      labels: '{"a":"b"}',
      networkmode: "default",
      rm: "1",
      shmsize: "0",
      t: "app:1",
      target: "",
      ulimits: "[]",
      version: "1",
    };
    expect(judge(query)).toEqual(query);
    expect(judge({ ...query, ulimits: "null" })).not.toHaveProperty("ulimits");
  });

  test.each([
    ["remote", "http://169.254.169.254/", "host_namespaces"],
    ["remote", "git://example.org/x", "host_namespaces"],
    ["cgroupparent", "/", "host_namespaces"],
    ["networkmode", "host", "host_namespaces"],
    ["securityopt", '["x"]', "privileged"],
  ])("%s=%s needs --allow", (field, value, allow) => {
    expect(() => judge({ [field]: value })).toThrow(refusal({ field, allow }));
    expect(judge({ [field]: value }, [allow])).toEqual({ [field]: value });
  });

  test.each([
    ["version", "2"],
    ["networkmode", "container:web"],
    ["networkmode", "ns:/proc/1/ns/net"],
    ["t", "-x"],
    ["labels", '{"docker-server.managed":"1"}'],
    ["labels", '{"a":"1","a":"2"}'],
    ["labels", "[]"],
    ["buildargs", '{"A":1}'],
    ["ulimits", '[{"name":"nofile"}]'],
  ])("%s=%s is invalid", (field, value) => {
    expect(() => judge({ [field]: value })).toThrow(expect.objectContaining({ status: 400 }));
  });

  test("a token with some images only can't build, since a Dockerfile can begin from any", () => {
    expect(() => judge({}, [], accessOf({ images: ["redis"] }))).toThrow(refusal({ caveat: "images" }));
  });

  test("a confined token's image does not carry its labels", () => {
    expect(judge({ labels: '{"team":"a","x":"y"}' }, [], accessOf({ labels: { team: "a" } }))).toEqual({ labels: '{"x":"y"}' });
  });
});

describe("judgeImageCreateQuery", () => {
  const judge = (search: string, allow?: string[], access?: Access) =>
    judgeImageCreateQuery(new URLSearchParams(search), context(allow, access));

  test("a pull, and an import of the body, pass", () => {
    for (const search of [
      "fromImage=redis&tag=7",
      "fromImage=redis",
      "fromSrc=-&repo=own&tag=1&changes=CMD+a&changes=ENV+a=b",
      "fromSrc=-",
    ])
      expect(() => judge(search)).not.toThrow();
  });

  test("the engine fetches nothing over the network of the host", () => {
    for (const source of ["http://127.0.0.1/x.tar", "//x", "/etc/passwd"]) {
      expect(() => judge(`fromSrc=${encodeURIComponent(source)}`)).toThrow(refusal({ field: "fromSrc", allow: "host_namespaces" }));
      expect(() => judge(`fromSrc=${encodeURIComponent(source)}`, ["host_namespaces"])).not.toThrow();
    }
  });

  test.each([
    "fromImage=-x",
    "fromImage=a&fromSrc=-",
    "fromSrc=-&changes=RUN+id",
    "fromSrc=-&changes=CMD+a%0aRUN+id",
    "fromImage=redis&tag=a/b",
  ])("%s is invalid", (search) => {
    expect(() => judge(search)).toThrow(expect.objectContaining({ status: 400 }));
  });

  test("a token pulls only its images, and not all tags of one", () => {
    const access = accessOf({ images: ["redis:7"] });
    expect(() => judge("fromImage=redis&tag=7", [], access)).not.toThrow();
    for (const search of ["fromImage=redis&tag=8", "fromImage=redis", "fromImage=other&tag=7", "fromSrc=-", "fromSrc=-&repo=redis&tag=8"])
      expect(() => judge(search, [], access)).toThrow(refusal({ caveat: "images" }));
  });
});

test("a commit changes the configuration only, and names an image that the token permits", () => {
  const judge = (search: string, access?: Access) => judgeCommitQuery(new URLSearchParams(search), context([], access));
  expect(() => judge("container=web&repo=own&changes=ENV+a=b&changes=CMD+x")).not.toThrow();
  expect(() => judge("container=web")).not.toThrow();
  expect(() => judge("container=web&changes=FROM+x")).toThrow(expect.objectContaining({ status: 400 }));
  expect(() => judge("container=web&repo=other&tag=1", accessOf({ images: ["own"] }))).toThrow(refusal({ caveat: "images" }));
});
